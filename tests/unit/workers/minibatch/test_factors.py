"""Penalty factors in nets: what they reach, by steps in C and in torch operations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from populations import CPU, configuration, job, made_up_fold
from torch import Tensor

from ridgeway.jobs.plan import Engine
from workers import train as training
from workers.population.problem import Problem
from workers.population.results import PopulationResult

SOURCES = ("a", "b", "c", "c", "d")
FACTORS = {"a": 0.0, "c": 4.0}
MEMBERS = [
    configuration("l1", 0.3, learning_rate=0.05),
    configuration("group_lasso", 0.2, learning_rate=0.05),
    configuration("elastic_net", 0.3, learning_rate=0.05),
    configuration("l2", 0.3, learning_rate=0.05),
]


def problem(optimizer: str = "adam", **fields: Any) -> Problem:
    spec = job(
        model={"kind": "mlp", "hidden": [6]},
        optimizer=optimizer,
        epochs=40,
        batch_size=25,
        precision="float64",
        penalty_factors=FACTORS,
        **fields,
    )
    fold = made_up_fold(60)
    own = replace(fold, train_inputs=fold.train_inputs.double())
    return Problem(spec, [own], 1, CPU, sources=SOURCES)


def first_matrix(found: PopulationResult, member: int) -> Tensor:
    return next(own for own in found.parameters(member, 0).values() if own.dim() == 2)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_strong_penalties_leave_the_first_weights_of_free_inputs_alone(optimizer: str) -> None:
    found = training.train(problem(optimizer), MEMBERS)
    for member in range(3):  # those that set zeros
        first = first_matrix(found, member)
        used = (first != 0).any(0).tolist()
        assert used == [True, False, False, False, False]
    ridge = first_matrix(found, 3).norm(dim=0)
    assert ridge[2:4].max() < ridge[4] < ridge[0]


def test_steps_in_c_are_those_in_torch_operations() -> None:
    whole, weak = problem(), [replace(own, strength=own.strength / 30) for own in MEMBERS]
    results = [
        training.train(
            replace(whole, engine=Engine(device="cpu", backend="dense", compiled=own)), weak
        )
        for own in (False, None)
    ]
    np.testing.assert_allclose(results[0].values, results[1].values, rtol=1e-9)
