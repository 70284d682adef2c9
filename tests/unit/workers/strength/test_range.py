"""The strengths that a linear model's path goes over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from populations import configuration, job, refit

from workers.data.folds import Fold
from workers.data.targets import centre_and_scale
from workers.models.by_input import PLAIN
from workers.objectives.losses import Huber, Kind
from workers.strength.range import path_ends

KINDS: dict[str, tuple[Kind, dict[str, Any]]] = {
    "squares": ("regression", {}),
    "huber": (Huber(0.7), {"loss": {"kind": "huber", "delta": 0.7}}),
}


def far_from_zero(kind: Kind, seed: int) -> Fold:
    """Rows whose target's mean is rounded to no more than some digits of its deviation."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(40, 6))
    targets = 1e9 + inputs[:, 0] + draw.normal(size=40)
    mean, scale = centre_and_scale(targets, kind)
    given = torch.tensor((inputs - inputs.mean(0)) / inputs.std(0))
    standardised = torch.tensor((targets - mean) / scale)
    return Fold(given, standardised, given, torch.tensor(targets), mean, scale)


@pytest.mark.parametrize("penalty", ["l1", "elastic_net", "scad"])
@pytest.mark.parametrize("name", KINDS)
def test_a_path_begins_without_any_weight_whatever_is_rounded(name: str, penalty: str) -> None:
    kind, fields = KINDS[name]
    search = {"penalty": [penalty], "l1_ratio": 0.4}
    linear = {"model": {"kind": "linear"}, "optimizer": "exact"}
    spec = job(task="regression", search=search, **linear, **fields)
    for seed in range(8):
        rows = far_from_zero(kind, seed)
        ends = path_ends(spec, rows, 1, PLAIN, (penalty, 0.4))  # type: ignore[arg-type]
        assert ends is not None
        members = [configuration(penalty, by * ends[1], l1_ratio=0.4) for by in (1, 0.9999)]
        models = refit(spec, members, rows, dtype=torch.float64)
        assert models.nonzero_weights[:, 0].tolist() == [0, 1]
