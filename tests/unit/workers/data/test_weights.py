"""Sample weights in prepared data: in each statistic, in no split; rows of weight 0 nowhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.wording import parse_spec
from workers.data.encoding import Standardisation
from workers.data.folds import Fold
from workers.data.prepare import Prepared, check_and_prepare
from workers.data.weights import checked_weights, effective_rows

ROWS = 200


def table(weights: Any, *, classes: bool = False, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps, a category, a weight for each row, and a target."""
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, ROWS)
    age[rng.random(ROWS) < 0.2] = np.nan
    x = rng.exponential(1, ROWS)
    y: Any = x + rng.normal(0, 1, ROWS)
    if classes:
        y = rng.choice(["a", "b", "c"], ROWS)
    city = rng.choice(["Oslo", "Rome", None], ROWS)
    return pd.DataFrame({"age": age, "city": city, "x": x, "w": np.asarray(weights) * 1.0, "y": y})


def prepared(frame: pd.DataFrame, **fields: Any) -> Prepared:
    named = {"dataset": "d", "target": "y", "weights": "w", "precision": "float64", **fields}
    return check_and_prepare(parse_spec(named), frame)


def whole(weights: list[float]) -> np.ndarray:
    return np.resize(weights, ROWS)


def tensors(fold: Fold) -> list[torch.Tensor]:
    return [fold.train_inputs, fold.train_targets, fold.valid_inputs, fold.valid_targets]


def test_statistics_of_whole_weights_are_those_of_repeated_rows() -> None:
    times = whole([1, 3, 2, 5, 1])
    given = prepared(table(times))
    rows = given.encoded
    for train, _ in given.splits.folds:
        often = np.repeat(train, times[train])
        weighted = rows.standardisations([train])[0]
        repeated = Standardisation.fit(rows.encoding.values, often, rows.encoding.gaps, None)
        np.testing.assert_array_equal(weighted.medians, repeated.medians)
        np.testing.assert_allclose(weighted.scaler.mean_, repeated.scaler.mean_, rtol=1e-12)
        np.testing.assert_allclose(weighted.scaler.scale_, repeated.scaler.scale_, rtol=1e-12)
    fold, (train, valid) = given.folds[0], given.splits.folds[0]
    y = np.repeat(rows.targets[train], times[train])
    assert (fold.target_mean, fold.target_scale) == pytest.approx((y.mean(), y.std()), rel=1e-12)
    assert fold.train_weights is not None
    assert fold.valid_weights is not None
    np.testing.assert_allclose(fold.train_weights, times[train] / times[train].mean())
    np.testing.assert_allclose(fold.valid_weights, times[valid] / times[valid].mean())


def test_a_median_of_weights_is_that_of_repeated_values() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        values, times = rng.integers(0, 5, 6) / 2, rng.integers(1, 4, 6)
        values[0] = np.nan
        found = Standardisation.fit(
            values[:, None], np.arange(len(values)), np.array([0]), times.astype(float)
        )
        assert found.medians == np.nanmedian(np.repeat(values, times))


def test_equal_weights_give_what_none_give() -> None:
    frame = table(np.full(ROWS, 0.3))
    weighted = prepared(frame)
    plain = prepared(frame.drop(columns="w"), weights=None)
    assert weighted.features == plain.features
    for own, its in zip(weighted.folds, plain.folds, strict=True):
        for left, right in zip(tensors(own), tensors(its), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_weights_move_no_row_and_rows_of_weight_0_are_left_out_of_all_parts() -> None:
    weights = whole([0, 1, 2, 3])
    frame = table(weights, classes=True)
    frame.loc[weights == 0, "city"] = "Atlantis"
    given = prepared(frame)
    plain = prepared(frame, weights=None, drop=["w"])
    np.testing.assert_array_equal(
        given.splits.test, [row for row in plain.splits.test if weights[row] > 0]
    )
    for own, its in zip(given.splits.folds, plain.splits.folds, strict=True):
        for part, whole_part in zip(own, its, strict=True):
            np.testing.assert_array_equal(part, whole_part[weights[whole_part] > 0])
    assert "city=Atlantis" not in given.features
    # What stands in such a row changes nothing at all.
    frame.loc[weights == 0, ["age", "x"]] = 1e9
    for own, its in zip(prepared(frame).folds, given.folds, strict=True):
        assert all(map(torch.equal, tensors(own), tensors(its)))
    assert all((weights[rows] > 0).all() for part in given.splits.folds for rows in part)
    assert given.halves(0) is not None
    assert sum(len(fold.valid_targets) for fold in given.resplit(3)) == len(
        given.splits.development
    )


def test_a_part_in_which_nothing_weighs_anything_is_refused() -> None:
    splits = prepared(table(np.ones(ROWS), classes=True)).splits
    for rows, message in (
        (splits.test, "no row of the sealed test set weighs anything"),
        (splits.folds[1][1], "no row of the validation rows of fold 2 weighs anything"),
        (splits.folds[0][0], "no row of the training rows of fold 1 weighs anything"),
    ):
        weights = np.ones(ROWS)
        weights[rows] = 0
        with pytest.raises(JobUnrunnable, match=message):
            prepared(table(weights, classes=True))
    frame = table(np.ones(ROWS), classes=True)
    frame.loc[frame["y"] == "b", "w"] = 0
    with pytest.raises(JobUnrunnable, match="no row of class 'b' in the training rows of fold 1"):
        prepared(frame)


def test_workers_refuse_weights_that_no_profile_told() -> None:
    for bad in (-1.0, np.nan):
        with pytest.raises(JobUnrunnable, match="missing or below 0"):
            checked_weights(np.array([1.0, bad]))


def test_uneven_weights_count_as_fewer_rows() -> None:
    assert effective_rows(np.full(100, 0.1)) == 100
    assert effective_rows(np.array([1.0] * 50 + [1e-9] * 50)) == 50
