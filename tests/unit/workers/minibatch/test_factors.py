"""Penalty factors and groups of columns in nets: what they reach, in C and in torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from populations import CPU, configuration, job, made_up_fold
from torch import Tensor

from ridgeway.jobs.plan import Engine
from workers import train as training
from workers.models.by_input import ByInput
from workers.population.problem import Problem
from workers.population.results import PopulationResult

SOURCES = ("a", "b", "c", "c", "d")
FACTORS = {"a": 0.0, "c": 4.0}
MEMBERS = [
    configuration("l1", 0.3, learning_rate=0.05),
    configuration("group_lasso", 0.2, learning_rate=0.05),
    configuration("elastic_net", 0.3, learning_rate=0.05),
    configuration("l2", 0.3, learning_rate=0.05),
    configuration("sparse_group_lasso", 0.3, learning_rate=0.05),
    configuration("mcp", 0.3, learning_rate=0.05),
    configuration("l0.5", 0.3, learning_rate=0.05),
]


def problem(optimizer: str = "adam", **fields: Any) -> Problem:
    spec = job(
        model={"kind": "mlp", "hidden": [6]},
        search={"penalty": sorted({own.penalty for own in MEMBERS})},
        optimizer=optimizer,
        epochs=40,
        batch_size=25,
        precision="float64",
        **{"penalty_factors": FACTORS, **fields},
    )
    fold = made_up_fold(60)
    own = replace(fold, train_inputs=fold.train_inputs.double())
    return Problem(spec, [own], 1, CPU, sources=SOURCES)


def first_matrix(found: PopulationResult, member: int) -> Tensor:
    return next(own for own in found.parameters(member, 0).values() if own.dim() == 2)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_strong_penalties_leave_the_first_weights_of_free_inputs_alone(optimizer: str) -> None:
    found = training.train(problem(optimizer), MEMBERS)
    for member in (0, 1, 2, 4, 5, 6):  # those that set zeros
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


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_columns_of_a_group_leave_a_net_together(optimizer: str) -> None:
    groups = {"useful": ["a", "d"], "rest": ["c"]}
    whole = problem(optimizer, penalty_factors={}, feature_groups=groups)
    strengths = (0.003, 0.01, 0.02, 0.03, 0.05)
    members = [configuration("group_lasso", own, learning_rate=0.05) for own in strengths]
    found = training.train(whole, members)
    used = [(first_matrix(found, place) != 0).any(0).tolist() for place in range(len(members))]
    assert all(own[0] == own[4] and own[2] == own[3] for own in used)
    assert len({tuple(own) for own in used}) > 1


def test_a_column_in_no_named_group_is_one_with_all_its_inputs() -> None:
    spec = job(feature_groups={"pair": ["d", "a"]})
    assert ByInput.of(spec, SOURCES).groups == ((0, 4), (1,), (2, 3))
    assert ByInput.of(job(feature_groups={"one": ["b"]}), ("a", "b")).groups is None
    assert ByInput.of(job(), SOURCES).groups is None
