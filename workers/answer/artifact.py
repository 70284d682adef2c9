"""The recommended model as a file that can be taken away."""

from __future__ import annotations

import json

from safetensors.torch import save

from workers.answer.choice import Refit
from workers.data.prepare import Fold, Prepared


def model_bytes(refit: Refit, prepared: Prepared, sealed: Fold) -> bytes:
    """Return the refitted model as safetensors, with all that it takes to use it in the metadata.

    An input is (x - mean) / scale, x the source column's number (`fill` where it is missing), or
    1 or 0 for a level and for "is missing". A regression predicts target_mean + target_scale * y.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in refit.model.parameters.items()
    }
    metadata = {
        "spec": prepared.spec.model_dump_json(),
        "trial": str(refit.trial.number),
        "params": json.dumps(refit.trial.params),
        "outputs": str(prepared.outputs),
        "classes": json.dumps(list(prepared.classes)),
        "inputs": json.dumps(prepared.recipe()),
        "target_mean": repr(sealed.target_mean),
        "target_scale": repr(sealed.target_scale),
    }
    return save(tensors, metadata=metadata)
