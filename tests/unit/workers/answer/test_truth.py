"""How often answers on pure noise find something: a tenth of `benchmarks/truth.py`, in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answering import give, trained_trials

from ridgeway.answers import Recommended
from ridgeway.data.store import Store
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import check_and_prepare

pytestmark = pytest.mark.usefixtures("brief")

JOBS = 10
LINEAR: dict[str, Any] = {"model": {"kind": "linear"}}
NET: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [8]}, "epochs": 10, "trials": 9}


def answer_to_noise(seed: int, fields: dict[str, Any], classes: bool, folder: Path) -> Recommended:
    draw = np.random.default_rng([seed, classes])
    table = pd.DataFrame(draw.normal(size=(300, 20))).rename(columns="x{}".format)
    target = draw.normal(size=300)
    table["y"] = np.where(target > 0, "a", "b") if classes else target
    spec = parse_spec({"dataset": "noise", "seed": seed, "test_fraction": 0.35, **fields})
    prepared = check_and_prepare(spec, table)
    strengths = 10 ** draw.uniform(-3, -0.5, 6)
    params = [
        {"penalty": penalty, "lambda": float(strength), "learning_rate": 0.01}
        for penalty, strength in zip(["l1", "l2", "group_lasso"] * 2, strengths, strict=True)
    ]
    trials = trained_trials(prepared, {"penalty": "none", "learning_rate": 0.01}, *params)
    return give(prepared, Store(str(folder)), trials).recommended


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("fields", [LINEAR, NET], ids=["linear", "net"])
def test_noise_is_told_to_be_noise(fields: dict[str, Any], classes: bool, tmp_path: Path) -> None:
    answers = [answer_to_noise(seed, fields, classes, tmp_path) for seed in range(JOBS)]
    # Of 100 at most 5 should be misled; of 10, 3 would be a sign of something wrong (p < 0.02).
    assert sum(answer.choice != "baseline" for answer in answers) <= 2
    # A penalty does beat no penalty on noise: only claims against the constant would be wrong.
    compared = [each for answer in answers for each in answer.comparisons]
    assert not any(each.claimed for each in compared if each.rival == "baseline")
