"""Trace a LassoNet path and print it as JSON; run by a Python that has lassonet.

    /an/environment/bin/python -P benchmarks/lassonet_path.py problem.npz

The file holds standardised inputs and targets, to train on (`x`, `y`) and to be judged by
(`test_x`, `test_y`), whether the targets are classes, the widths of hidden layers, and a seed. A
tenth of the rows is held out to stop each model early, which is LassoNet's own way.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def main() -> None:
    """Print seconds, and the columns and the score of each model on the path."""
    lassonet: Any = importlib.import_module("lassonet")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of paths that begin where features disappear already
    given = np.load(sys.argv[1])
    kind = lassonet.LassoNetClassifier if given["classes"] else lassonet.LassoNetRegressor
    seed = int(given["seed"])
    model = kind(
        hidden_dims=tuple(given["hidden"].tolist()),
        M=float(given["limit"]),
        path_multiplier=float(given["multiplier"]),
        random_state=seed,
        torch_seed=seed,
        verbose=0,
    )
    inputs, targets = given["x"].astype(np.float32), given["y"]
    started = time.process_time()
    path = model.path(inputs, targets, return_state_dicts=True)
    seconds = time.process_time() - started
    found = [
        {
            "used": own.selected.tolist(),
            "score": float(_score(model.load(own.state_dict), given)),
        }
        for own in path
    ]
    print(json.dumps({"seconds": seconds, "path": found}))


def _score(model: Any, given: Mapping[str, Any]) -> float:
    """Return the accuracy, or R², on the rows that no model has seen."""
    predicted = model.predict(given["test_x"].astype(np.float32))
    truth = given["test_y"]
    if given["classes"]:
        return float((predicted == truth).mean())
    return 1 - float(((predicted.ravel() - truth) ** 2).mean() / truth.var())


if __name__ == "__main__":
    main()
