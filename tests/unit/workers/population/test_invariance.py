"""A regression's target in other units: the same splits, strengths and zeros, in those units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from populations import CPU, configuration

from ridgeway.spec.wording import parse_spec
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare
from workers.models.building import predict
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels
from workers.strength.probe import StrengthRange
from workers.strength.range import strength_range
from workers.train import refit, train

SHIFT, SCALE = 7.0, 1000.0
JOBS: dict[str, dict[str, Any]] = {
    "exact": {"model": {"kind": "linear"}, "optimizer": "exact"},
    "linear adamw": {"model": {"kind": "linear"}, "optimizer": "adamw"},
    "mlp adamw": {"model": {"kind": "mlp", "hidden": [4]}, "optimizer": "adamw"},
}
MEMBERS = [
    configuration(penalty, strength, l1_ratio=0.5, learning_rate=0.02, weight_decay=0.01)
    for penalty in ("l1", "elastic_net", "group_lasso")
    for strength in (0.3, 0.03)
]


@dataclass(frozen=True)
class Searched:
    """A job's way from the table to predictions of the sealed rows."""

    prepared: Prepared
    strengths: StrengthRange
    result: PopulationResult
    refits: TrainedModels

    def predictions(self, member: int) -> np.ndarray:
        sealed, spec = self.prepared.sealed(), self.prepared.spec
        logits = predict(spec, self.refits.parameters(member, 0), sealed.valid_inputs, 1)
        return (sealed.target_mean + sealed.target_scale * logits[:, 0].double()).numpy()


def searched(frame: pd.DataFrame, **fields: Any) -> Searched:
    spec = parse_spec(
        {
            "dataset": "diabetes",
            "epochs": 10,
            "batch_size": 32,
            "validation": {"kind": "folds", "folds": 2},
            **fields,
        }
    )
    prepared = check_and_prepare(spec, frame)
    problem = Problem(prepared.spec, prepared.folds, prepared.outputs, CPU)
    strengths = strength_range(prepared, problem, lambda epoch, epochs: None)
    members: list[Configuration] = MEMBERS
    return Searched(
        prepared,
        strengths,
        train(problem, members),
        refit(replace(problem, folds=[prepared.development()]), members),
    )


@pytest.mark.parametrize("objective", ["loss", "r2"])
@pytest.mark.parametrize("name", list(JOBS))
def test_a_target_in_other_units_changes_values_and_predictions_alone(
    name: str, objective: str
) -> None:
    frame = bundled_frame("diabetes").iloc[:160]
    fields = {**JOBS[name], "objective": objective, "precision": "float64"}
    ours = searched(frame, **fields)
    theirs = searched(frame.assign(target=SCALE * frame["target"] + SHIFT), **fields)
    assert ours.prepared.spec == theirs.prepared.spec
    folds = [
        *zip(ours.prepared.folds, theirs.prepared.folds, strict=True),
        (ours.prepared.sealed(), theirs.prepared.sealed()),
    ]
    for left, right in folds:
        assert torch.equal(left.train_inputs, right.train_inputs)
        assert torch.equal(left.valid_inputs, right.valid_inputs)
        assert torch.equal(SCALE * left.valid_targets + SHIFT, right.valid_targets)
    assert ours.strengths == theirs.strengths
    assert (ours.result.nonzero_weights == theirs.result.nonzero_weights).all()
    assert ours.result.nonzero_weights.min() < ours.result.weights  # there are zeros to compare
    assert ours.result.nonzero_weights.max() > 0
    for left, right in ((ours.result, theirs.result), (ours.refits, theirs.refits)):
        for parameter, value in left.states.items():
            assert torch.equal(value == 0, right.states[parameter] == 0)
    for place in range(len(MEMBERS)):
        expected = SCALE * ours.predictions(place) + SHIFT
        assert theirs.predictions(place) == pytest.approx(expected, rel=1e-6)
    unit = SCALE**2 if objective == "loss" else 1.0
    assert theirs.result.values == pytest.approx(unit * ours.result.values, rel=1e-6)
    assert theirs.result.standard_errors == pytest.approx(
        unit * ours.result.standard_errors, rel=1e-5
    )
