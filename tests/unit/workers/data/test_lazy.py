"""Rows in memory that a fold standardises when they are read: the same bits, and kept once."""

import numpy as np
import pandas as pd
import pytest
import torch

from ridgeway.data.judging import judged_profile
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from workers.data import encoding, folds
from workers.data.loading import canonical_table_of
from workers.data.mapped import LazyRows
from workers.data.prepare import Prepared, prepare
from workers.population.configuration import Configuration
from workers.population.problem import problem_of
from workers.train import train

CPU = torch.device("cpu")


def given(*, classes: bool, optimizer: str = "exact", **fields: str) -> Prepared:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(3, 2, (300, 7))).rename(columns="x{}".format)
    frame.loc[draw.random(300) < 0.2, "x2"] = np.nan
    frame["level"] = draw.choice(["a", "b", "c"], 300)
    frame["weight"] = draw.uniform(0.5, 2, 300)
    signal = frame["x0"] - frame["x1"] + draw.normal(size=300)
    frame["y"] = np.where(signal > 0, "yes", "no") if classes else signal
    body = {"dataset": "made up", "model": {"kind": "linear"}, "target": "y"} | fields
    body["optimizer"] = optimizer
    profile = judged_profile(canonical_table_of(frame, "made up"))
    return prepare(resolve_spec(JobSpec.model_validate(body), profile), frame)


def every_fold(prepared: Prepared) -> list[folds.Fold]:
    others = [prepared.development(), prepared.sealed()]
    return [*prepared.folds, *prepared.resplit(1), *(prepared.halves(1) or ()), *others]


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch):
    """Return a call after which even few rows are many."""

    def begin() -> None:
        monkeypatch.setattr(folds, "LAZY_NUMBERS", 1)
        monkeypatch.setattr(encoding, "FITTED_NUMBERS", 500)

    return begin


@pytest.mark.parametrize("fields", [{}, {"weights": "weight"}], ids=["even", "weighted"])
@pytest.mark.parametrize("classes", [False, True])
def test_values_and_models_are_the_same_bits(lazily, classes: bool, fields: dict) -> None:
    whole = given(classes=classes, **fields)
    expected = every_fold(whole)
    lazily()
    lazy = given(classes=classes, **fields)
    for theirs, mine in zip(expected, every_fold(lazy), strict=True):
        assert isinstance(theirs.train_inputs, torch.Tensor)
        assert isinstance(mine.train_inputs, LazyRows)
        assert torch.equal(mine.train_inputs[:], theirs.train_inputs)
        assert torch.equal(mine.valid_inputs[:], theirs.valid_inputs[:])
        places = torch.tensor([7, 3])
        assert torch.equal(mine.train_inputs[places], theirs.train_inputs[places])
    assert lazy.recipe() == whole.recipe()
    assert isinstance(lazy.sealed().valid_inputs, torch.Tensor)  # which are read many times
    strengths = {"none": 0.0, "l1": 0.02, "group_lasso": 0.05}
    members = [Configuration(name, own, 0, 0, 0) for name, own in strengths.items()]
    own, others = (train(problem_of(each, CPU), members) for each in (lazy, whole))
    np.testing.assert_array_equal(own.fold_values, others.fold_values)
    for place in range(len(members)):
        for name, value in own.parameters(place, 0).items():
            assert torch.equal(value, others.parameters(place, 0)[name])


def test_steps_in_minibatches_read_rows_that_are_kept(lazily) -> None:
    lazily()
    prepared = given(classes=True, optimizer="adamw")
    assert all(isinstance(fold.train_inputs, torch.Tensor) for fold in prepared.folds)
