"""The recommended settings as code that makes the model again, from the table that was uploaded.

The code is Python text out of `templates/code/`; values go into it by `repr`, names of columns and
data sets included, so that nothing that a client named is ever more than a literal. Tests run it
and compare what it predicts with the job's own model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ridgeway.answers import Chosen
from ridgeway.report.environment import CODE
from ridgeway.report.material import Material
from ridgeway.spec.descent import DENSE_SHARE, GROWN_SHARE, can_descend
from ridgeway.spec.losses import HuberLoss, QuantileLoss
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.names import UNPENALISED, penalty_row
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.spec.spec import JobSpec

KNOWN = ("none", "l1", "l2", "elastic_net", "group_lasso", "sparse_group_lasso")
MIXED = ("elastic_net", "sparse_group_lasso")
GROUPED = ("group_lasso", "sparse_group_lasso")
ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU", "tanh": "Tanh", "silu": "SiLU"}
# The largest curvature of a row's loss; of Poisson's there is none, and steps are made shorter.
BENDS = {"squared": 2.0, "huber": 2.0, "binary": 0.25, "multiclass": 0.5, "poisson": 1.0}
MOST_NAMED = 2_000  # columns that code lists by their names


@dataclass(frozen=True)
class Reproduction:
    """Code in pieces: `prepare` runs first, then one of the others; "" where there is none.

    reason: why there is no code. exactly: whether it comes to the same model, up to rounding.
    """

    prepare: str = ""
    sklearn: str = ""
    torch: str = ""
    reason: str = ""
    exactly: str = ""

    @property
    def there(self) -> bool:
        """Return True where there is code."""
        return bool(self.sklearn or self.torch)


def reproduction(material: Material) -> Reproduction:
    """Return the code for what the answer recommends, or why there is none."""
    evidence = material.evidence
    answer = evidence.answer
    if answer is None:
        return Reproduction(reason="the job has no answer")
    if answer.choice == "baseline":
        return Reproduction(reason="the constant is recommended: there is nothing to be trained")
    chosen = answer.best if answer.choice == "best" else answer.simplest
    if reason := next(_refusals(material, chosen), None):
        return Reproduction(reason=reason)
    words = _words(material, chosen)
    exact = evidence.spec.optimizer == "exact"
    return Reproduction(
        prepare=_code("prepare", words),
        sklearn=_code("sklearn", words | sk) if exact and (sk := _sklearn(words)) else "",
        torch=_torch(words, exact),
        exactly=_exactly(evidence.spec, words),
    )


def _torch(words: Mapping[str, Any], exact: bool) -> str:
    """Return torch's code; the pinball loss has corners, at which its steps to an optimum end."""
    if exact and words["loss"] == "quantile":
        return ""
    return _code("torch_exact" if exact else "torch_steps", words)


def _refusals(material: Material, chosen: Chosen) -> Iterator[str]:
    """Yield what of the job the code can't say."""
    spec, description = material.evidence.spec, material.description
    if not isinstance(spec.model, LinearModel | MlpModel):
        yield "a plug-in's model is made by its package"
    if material.profile is None or description is None:
        yield "the data set's columns, or the model's file, are not known to the service"
    elif _read_oddly(material, material.profile):
        yield "columns are dates, or numbers and categories that are written as something else"
    if isinstance(spec.model, MlpModel) and spec.model.skip:
        yield "a net with a skip layer has no short code"
    if chosen.params.get("penalty") not in KNOWN:
        label = penalty_row(str(chosen.params.get("penalty"))).label
        yield f"the penalty {label} has no short code"
    cornered = spec.loss_name == "quantile" and spec.optimizer == "exact"
    if cornered and chosen.params.get("penalty") not in (UNPENALISED, "l1"):
        yield "no library's call knows this penalty beside the pinball loss"
    for field in ("penalty_factors", "feature_groups", "bounds"):
        if getattr(spec, field):
            yield f"the job has {field}, which no library's call knows"
    if spec.penalize == "all" and (
        spec.optimizer == "exact" or chosen.params.get("penalty") in GROUPED
    ):
        yield "the job penalises biases too, which no library's call knows"
    if material.profile is not None and len(material.profile.columns) > MOST_NAMED:
        yield f"the table has more than {MOST_NAMED:,} columns"


def _read_oddly(material: Material, profile: DatasetProfile) -> bool:
    """Return whether reading the file takes more than telling texts from numbers."""
    left_out = {*material.evidence.spec.apart} - {material.evidence.spec.order}
    kinds = material.evidence.spec.columns
    taken = any(name not in left_out for name in kinds)
    return taken or bool(profile.formats) or profile.header is False


def _words(material: Material, chosen: Chosen) -> dict[str, Any]:
    """Return what the templates need."""
    return {
        **_of_the_table(material),
        **_of_the_objective(material, chosen),
        **_of_the_training(material, chosen),
    }


def _of_the_table(material: Material) -> dict[str, Any]:
    spec, profile, description = material.evidence.spec, material.profile, material.description
    assert profile is not None
    assert description is not None
    apart = [str(spec.target), *sorted({*spec.apart} - {spec.target})]
    kinds = {column.name: column.stored_kind for column in profile.columns}
    order = spec.order
    filled = [each for each in description.inputs if each.fill is not None]
    return {
        "bundled": material.bundled,
        "dataset": spec.dataset,
        "texts": [name for name, kind in kinds.items() if kind == "category"],
        "drops_missing": spec.missing_target == "drop",
        "target": spec.target,
        "apart": apart,
        "categories": [column.name for column in description.columns if column.kind == "category"],
        "test_fraction": repr(spec.test_fraction),
        "folds": spec.folds if order else None,
        "parts": spec.validation.parts,
        "order": order,
        "order_is_text": order is not None and kinds.get(order) == "category",
        "groups": spec.groups,
        "weights": spec.weights,
        "balanced": spec.class_weights == "balanced",
        "shares": spec.weights is not None or spec.class_weights == "balanced",
        "fills": {each.name: each.fill for each in filled} if spec.weights else None,
        "classes": list(description.classes),
        "inputs": len(description.inputs),
        "outputs": description.outputs,
        "seed": spec.seed,
    }


def _of_the_objective(material: Material, chosen: Chosen) -> dict[str, Any]:
    spec, description = material.evidence.spec, material.description
    assert description is not None
    penalty = str(chosen.params["penalty"])
    robust = isinstance(spec.loss, HuberLoss | QuantileLoss)
    subgradient = spec.l1_method == "subgradient" and penalty in ("l1", *MIXED)
    return {
        "loss": _loss(spec, description.outputs),
        "delta": spec.loss.delta if isinstance(spec.loss, HuberLoss) else None,
        "quantile": spec.loss.quantile if isinstance(spec.loss, QuantileLoss) else None,
        "centre": description.target_mean if robust else None,
        "scale": description.target_scale if robust else None,
        "penalty": penalty,
        "mixes": penalty in MIXED,
        "strength": chosen.params.get("lambda", 0.0),
        "l1_ratio": chosen.params.get("l1_ratio", 0.0),
        "group_axis": 0 if spec.group_by == "input" else 1,
        "sparse": penalty not in (UNPENALISED, "l2"),
        "subgradient": subgradient,
        "shrinks": penalty in GROUPED or (penalty in ("l1", "elastic_net") and not subgradient),
        "everything": spec.penalize == "all",
        "smoothing": float(chosen.params.get("label_smoothing", spec.label_smoothing)),
    }


def _loss(spec: JobSpec, outputs: int) -> str:
    if spec.task == "classification":
        return "binary" if outputs == 1 else "multiclass"
    return spec.loss_name or "squared"


def _of_the_training(material: Material, chosen: Chosen) -> dict[str, Any]:
    spec = material.evidence.spec
    names = {"sgd": "SGD with momentum", "adam": "Adam", "adamw": "AdamW"}
    return {
        "bend": BENDS.get(_loss(spec, material.description.outputs if material.description else 1)),
        "rate": chosen.params.get("learning_rate"),
        "decay": chosen.params.get("weight_decay", 0.0),
        "optimizer": spec.optimizer,
        "optimizer_name": names.get(spec.optimizer, ""),
        "epochs": material.epochs or spec.epochs,
        "horizon": spec.epochs,
        "warmup": spec.warmup_epochs,
        "schedule": spec.schedule,
        "clip_norm": spec.clip_norm,
        "batch_size": spec.batch_size,
        "descent": (DENSE_SHARE, GROWN_SHARE) if _descends(spec, chosen) else None,
        "dtype": "float64" if spec.precision == "float64" else "float32",
        "hidden": isinstance(spec.model, MlpModel),
        "layers": _layers(material, chosen),
        "dropout": _dropout(spec, chosen),
        "noise": float(chosen.params.get("input_noise", spec.input_noise)),
    }


def _descends(spec: JobSpec, chosen: Chosen) -> bool:
    """Return whether the strength grew in the training."""
    return spec.kind == "path" and can_descend(spec) and chosen.params["penalty"] != UNPENALISED


def _layers(material: Material, chosen: Chosen) -> list[str]:
    """Return the calls that make an mlp's layers."""
    spec, description = material.evidence.spec, material.description
    if not isinstance(spec.model, MlpModel) or description is None:
        return []
    layers: list[str] = []
    before, dropout = len(description.inputs), _dropout(spec, chosen)
    for width in spec.model.hidden:
        layers += [f"nn.Linear({before}, {width})", f"nn.{ACTIVATIONS[spec.model.activation]}()"]
        layers += [f"nn.Dropout({dropout!r})"] if dropout else []
        before = width
    return [*layers, f"nn.Linear({before}, {description.outputs})"]


def _dropout(spec: JobSpec, chosen: Chosen) -> float:
    own = spec.model.dropout if isinstance(spec.model, MlpModel) else 0.0
    return float(chosen.params.get("dropout", own))


def _sklearn(words: Mapping[str, Any]) -> dict[str, str] | None:
    """Return scikit-learn's estimator and its arguments; None where it has no such model.

    Formulas: docs/penalties.md, "The same strength elsewhere"; `n` is the rows, or their weight.
    """
    penalty, loss = words["penalty"], words["loss"]
    precise = "tol=1e-10, max_iter=100_000"
    if penalty in GROUPED or loss == "huber":
        return None
    if loss == "squared":
        mixture = "alpha=strength * (1 - l1_ratio / 2), l1_ratio=l1_ratio / (2 - l1_ratio)"
        estimator, arguments = {
            "none": ("LinearRegression", ""),
            "l1": ("Lasso", f"alpha=strength / 2, {precise}"),
            "l2": ("Ridge", "alpha=n * strength"),
            "elastic_net": ("ElasticNet", f"{mixture}, {precise}"),
        }[penalty]
        return {"estimator": estimator, "arguments": arguments}
    if loss == "quantile":
        alpha = "strength" if penalty == "l1" else "0"
        arguments = f"quantile={words['quantile']!r}, alpha={alpha}"
        return {"estimator": "QuantileRegressor", "arguments": arguments}
    if loss == "poisson":
        alphas = {"none": "0", "l2": "2 * scale * strength"}
        if penalty not in alphas:
            return None
        return {"estimator": "PoissonRegressor", "arguments": f"alpha={alphas[penalty]}, {precise}"}
    smooth, saga = f'solver="lbfgs", {precise}', 'solver="saga", tol=1e-6, max_iter=100_000'
    named = {
        "none": f"C=np.inf, {smooth}",
        "l1": f"C=1 / (n * strength), l1_ratio=1, {saga}",
        "l2": f"C=1 / (2 * n * strength), {smooth}",
        "elastic_net": "C=1 / (n * strength * (2 - l1_ratio)), "
        f"l1_ratio=l1_ratio / (2 - l1_ratio), {saga}",
    }
    return {"estimator": "LogisticRegression", "arguments": named[penalty]}


def _exactly(spec: JobSpec, words: Mapping[str, Any]) -> str:
    """Say how near the code comes to the job's model."""
    if spec.optimizer == "exact" and words["penalty"] == UNPENALISED:
        return (
            "Both come to an optimum, and predictions agree; coefficients of inputs that tell each "
            "other, such as all levels of a category, are not unique without a penalty."
        )
    if spec.optimizer == "exact":
        return "Both come to the one optimum: coefficients agree to about 1e-3 of the largest."
    luck = [name for name in ("dropout", "noise") if words[name]]
    if luck:
        drawn = {"dropout": "dropout", "noise": "noise on inputs, left out here"}
        told = " and ".join(drawn[name] for name in luck)
        return (
            f"The job drew {told} by other numbers: the model differs as much as two "
            "initialisations do."
        )
    return (
        "Initial weights, batches and steps are those of the job. Rounding differs in the last "
        "digits, which training at a large rate may grow into another model of the same kind."
    )


def _code(name: str, words: Mapping[str, Any]) -> str:
    """Fill a template in."""
    return CODE.get_template(f"code/{name}.py.jinja").render(words)
