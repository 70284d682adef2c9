"""Every backend, optimiser and penalty: fifty steps are those of a plain torch loop."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from plain_loop import plain_loop
from populations import (
    BACKENDS,
    STEPPED,
    configuration,
    job,
    made_up_fold,
    train,
    trainer_of,
    using,
)

from ridgeway.spec.spec import JobSpec
from workers.data.folds import Fold
from workers.population.configuration import Configuration

pytestmark = pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
every_backend = pytest.mark.parametrize("backend", BACKENDS)

MLP = {"kind": "mlp", "hidden": [6, 4], "activation": "tanh"}
# In 50 steps of at most 1e-2 these set some weights to zero, and not all.
STRENGTHS = {
    "none": 0.0,
    "l1": 0.03,
    "l2": 0.1,
    "elastic_net": 0.05,
    "group_lasso": 0.03,
    "sparse_group_lasso": 0.03,
    "mcp": 0.03,
    "scad": 0.03,
    "l0.5": 0.003,
    "hierarchical": 2.5,
}
SGD_STRENGTHS = {**STRENGTHS, "group_lasso": 0.15, "sparse_group_lasso": 0.1, "hierarchical": 14.0}
SKIPPING = [*STEPPED, "hierarchical"]  # penalties of nets with a skip layer

COMBINATIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "linear": {"model": {"kind": "linear"}, "penalties": ["l1", "group_lasso"]},
    "relu": {"model": {"kind": "mlp", "hidden": [6, 4]}},
    "subgradient": {
        "penalties": ["l1", "elastic_net"],
        "l1_method": "subgradient",
        "clip_norm": 0.8,
    },
    "scheduled": {
        "model": {**MLP, "skip": True},
        "hierarchy": 2.0,
        "penalties": SKIPPING,
        "schedule": "cosine",
        "warmup_epochs": 2,
        "clip_norm": 0.8,
        "class_weights": "balanced",
        "search": {"label_smoothing": {"low": 0.0, "high": 0.5}},
    },
    "two classes": {
        "classes": 2,
        "penalties": ["none", "elastic_net", "group_lasso"],
        "class_weights": "balanced",
        "search": {"label_smoothing": {"low": 0.0, "high": 0.5}},
        "schedule": "cosine",
    },
    "regression": {
        "classes": 0,
        "model": {**MLP, "skip": True},
        "penalties": ["l2", "l1", "group_lasso", "hierarchical"],
        "task": "regression",
        "penalize": "all",
        "group_by": "neuron",
        "warmup_epochs": 1,
        "clip_norm": 1.0,
    },
}


def case(name: str, optimizer: str) -> tuple[JobSpec, list[Configuration], list[Fold], int]:
    """A job of 50 steps (no settling: it has too few epochs), a member of each penalty."""
    fields = {"model": MLP, "epochs": 5, "batch_size": 5, **COMBINATIONS[name]}
    classes, penalties = fields.pop("classes", 3), fields.pop("penalties", STEPPED)
    smoothing = 0.2 if "search" in fields else 0.0
    members = [
        configuration(
            penalty,
            (SGD_STRENGTHS if optimizer == "sgd" else STRENGTHS)[penalty],
            l1_ratio=0.3,
            learning_rate=1e-2 / (1 + place / 4),
            weight_decay=0.05 * (place % 3),
            label_smoothing=smoothing * (place % 2),
        )
        for place, penalty in enumerate(penalties)
    ]
    rows = {"plain": [50, 43]}.get(name, [50])
    folds = [made_up_fold(count, classes=classes, seed=seed + 1) for seed, count in enumerate(rows)]
    return job(optimizer=optimizer, **fields), members, folds, classes if classes > 2 else 1


@cache
def expected(name: str, optimizer: str) -> tuple[np.ndarray, list[list[dict[str, torch.Tensor]]]]:
    """Curves (P, F, E) and weights of each member on each fold, by the plain loop."""
    spec, members, folds, outputs = case(name, optimizer)
    runs = [
        [plain_loop(spec, member, folds, fold, outputs) for fold in range(len(folds))]
        for member in members
    ]
    curves = np.array([[curve for _, curve in member] for member in runs])
    return curves, [[dict(model.named_parameters()) for model, _ in member] for member in runs]


@every_backend
@pytest.mark.parametrize("name", COMBINATIONS)
def test_fifty_steps_are_torchs_and_a_proximal_step(
    backend: str, name: str, optimizer: str
) -> None:
    spec, members, folds, outputs = case(name, optimizer)
    result = train(spec, members, folds, outputs, dtype=torch.float64, engine=using(backend))
    curves, weights = expected(name, optimizer)
    assert trainer_of(spec, folds, outputs).steps_per_epoch * spec.epochs == 50
    assert result.curves == pytest.approx(curves.mean(1), rel=1e-10)
    for member in range(len(members)):
        for fold in range(len(folds)):
            found = result.parameters(member, fold)
            for key, value in weights[member][fold].items():
                difference = (found[key] - value).abs().max().item()
                assert difference < 1e-10, (members[member].penalty, fold, key)
                assert torch.equal(found[key] == 0, value == 0)


@every_backend
@pytest.mark.parametrize("name", ["linear", "scheduled"])
def test_curves_in_single_precision_stay_with_those_in_double(
    backend: str, name: str, optimizer: str
) -> None:
    spec, members, folds, outputs = case(name, optimizer)
    result = train(spec, members, folds, outputs, engine=using(backend))
    assert result.curves == pytest.approx(expected(name, optimizer)[0].mean(1), rel=1e-4)


def test_the_strengths_tell_penalties_apart(optimizer: str) -> None:
    """Or agreement above would say little: zeros under sparse penalties, and under no other."""
    _, weights = expected("plain", optimizer)
    zeros = {
        penalty: sum(int((value == 0).sum()) for value in own[0].values())
        for penalty, own in zip(STEPPED, weights, strict=True)
    }
    assert zeros["none"] == zeros["l2"] == 0
    for penalty in set(zeros) - {"none", "l2"}:
        assert 0 < zeros[penalty] < 5 * 6 + 6 * 4 + 4 * 3, zeros


def test_an_input_is_out_of_a_net_with_a_skip_layer_as_a_whole(optimizer: str) -> None:
    _, weights = expected("scheduled", optimizer)
    (own,) = weights[SKIPPING.index("hierarchical")]
    out = (own["skip.weight"] == 0).all(0)
    assert 0 < out.sum() < 5
    assert torch.equal(out, (own["0.weight"] == 0).all(0))
