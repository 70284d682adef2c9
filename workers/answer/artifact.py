"""A model of the answer as a file that can be taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from safetensors.torch import save
from torch import Tensor

from ridgeway.model.file import DATE_FORMAT, FORMAT, SKIP_FORMAT
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.spec import JobSpec
from ridgeway.texts.dates import DATE_KINDS
from workers.answer.choice import Refit
from workers.answer.rival import Rival
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.objectives.constant import constant_logits
from workers.objectives.losses import Huber, Kind, Quantile, kind_of

LINKS: Mapping[Kind, str] = {
    "regression": "identity",
    "poisson": "log",
    "binary": "logit",
    "multiclass": "softmax",
}


def model_bytes(refit: Refit, prepared: Prepared, sealed: Fold) -> bytes:
    """Return the refitted model as safetensors, with all that it takes to use it in the metadata.

    docs/model-file.md has every key, and ridgeway/model/ reads them.
    """
    own = {
        "role": refit.role,
        "trial": str(refit.trial.number),
        "params": json.dumps(refit.trial.params),
    }
    return _bytes(refit.model.parameters, prepared.spec, {**own, **_use(prepared, sealed)})


def linear_bytes(rival: Rival, prepared: Prepared, sealed: Fold) -> bytes:
    """Return the linear model beside a net in the same form; it is no trial's."""
    params = {"penalty": rival.member.penalty, "lambda": rival.member.strength}
    own = {"role": "linear", "params": json.dumps(params)}
    return _bytes(rival.model.parameters, rival.spec, {**own, **_use(prepared, sealed)})


def constant_bytes(prepared: Prepared, sealed: Fold) -> bytes:
    """Return the constant predictor in the same form: a linear model whose weights are zero."""
    constant = constant_logits(sealed.train_targets, prepared.outputs, sealed.train_weights)
    bias = constant.nan_to_num(neginf=-1e4).to(torch.float32)
    tensors = {"weight": torch.zeros(prepared.outputs, prepared.inputs), "bias": bias}
    spec = prepared.spec.model_copy(update={"model": LinearModel()})
    return _bytes(tensors, spec, {"role": "baseline", **_use(prepared, sealed)})


def _bytes(parameters: Mapping[str, Tensor], spec: JobSpec, words: dict[str, str]) -> bytes:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in parameters.items()}
    return save(
        tensors, metadata={"format": _format(spec), "spec": spec.model_dump_json(), **words}
    )


def _format(spec: JobSpec) -> str:
    """Return the least format whose readers know all of the file."""
    inputs = (kind for name, kind in spec.columns.items() if name not in spec.apart)
    if any(kind in DATE_KINDS for kind in inputs):
        return DATE_FORMAT
    return SKIP_FORMAT if isinstance(spec.model, MlpModel) and spec.model.skip else FORMAT


def _link(kind: Kind) -> str:
    """Return what turns a model's outputs into predictions."""
    if isinstance(kind, Huber | Quantile):
        return "identity"
    return LINKS[kind]


def _use(prepared: Prepared, sealed: Fold) -> dict[str, str]:
    """Return what it takes to use a model of these data."""
    medians, kind = prepared.medians(), kind_of(prepared.spec, prepared.outputs)
    columns = [
        {
            "name": name,
            "kind": own.kind,
            **({"fill": medians[name]} if name in medians else {}),
            **({"format": own.format.model_dump()} if own.format else {}),
        }
        for name, own in prepared.columns.items()
    ]
    mean, scale = sealed.linear_units(kind)
    return {
        "link": _link(kind),
        "columns": json.dumps(columns),
        "target": json.dumps({"name": prepared.spec.target, "kind": prepared.target_kind}),
        "outputs": str(prepared.outputs),
        "classes": json.dumps(list(prepared.classes)),
        "inputs": json.dumps(prepared.recipe()),
        "target_mean": repr(mean),
        "target_scale": repr(scale),
    }
