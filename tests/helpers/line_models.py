"""The file of a model that is a line, for tests of what a service does with files."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from safetensors.numpy import save


def line_file(kind: str = "linear", classes: Sequence[str] = ()) -> bytes:
    """Return a file that says y = x, or that x is the logit of each class."""
    count = len(classes) or 1
    inputs = [{"name": "x", "source": "x", "mean": 0.0, "scale": 1.0}]
    words = {"outputs": str(count), "target_mean": "0", "target_scale": "1"}
    words["classes"] = json.dumps(list(classes))
    spec = {"model": {"kind": kind}, "task": "regression", "target": "y"}
    words |= {"inputs": json.dumps(inputs), "spec": json.dumps(spec)}
    return save({"weight": np.ones((count, 1)), "bias": np.zeros(count)}, metadata=words)
