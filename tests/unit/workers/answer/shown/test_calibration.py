"""Calibration in bins beside scikit-learn's, and Wilson's intervals beside SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from workers.answer.shown.calibration import calibration, wilson
from workers.answer.shown.roc import Judged

DRAW = np.random.default_rng(0)
SHARES = DRAW.random(500) ** 2
TRUTH = (DRAW.random(500) < SHARES).astype(float)


def test_bins_are_scikit_learns() -> None:
    bins = calibration(SHARES, Judged(TRUTH, None, None), shares=True)
    observed, predicted = calibration_curve(TRUTH, SHARES, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([own.observed for own in bins], observed, rtol=1e-5)
    np.testing.assert_allclose([own.predicted for own in bins], predicted, rtol=1e-5)
    assert sum(own.rows for own in bins) == 500
    for own in bins:
        theirs = binomtest(round(own.observed * own.rows), own.rows).proportion_ci(method="wilson")
        assert own.interval == pytest.approx((theirs.low, theirs.high), abs=1e-4)


@pytest.mark.parametrize(("hits", "rows"), [(0, 12), (12, 12), (3, 40)])
def test_wilsons_interval_is_scipys(hits: int, rows: int) -> None:
    theirs = binomtest(hits, rows).proportion_ci(method="wilson")
    assert wilson(hits / rows, rows) == pytest.approx((theirs.low, theirs.high))


def test_few_rows_and_equal_predictions_are_one_bin() -> None:
    (few,) = calibration(SHARES[:30], Judged(TRUTH[:30], None, None), shares=True)
    assert few.rows == 30
    (constant,) = calibration(np.full(500, 0.3), Judged(TRUTH, None, None), shares=True)
    assert (constant.predicted, constant.rows) == (0.3, 500)
    assert constant.observed == pytest.approx(TRUTH.mean())


def test_a_weight_of_two_is_a_row_twice_but_no_more_evidence() -> None:
    twice = Judged(TRUTH[:30], np.full(30, 2.0), None)
    plain = Judged(TRUTH[:30], None, None)
    ours = calibration(SHARES[:30], twice, shares=True)
    assert ours == calibration(SHARES[:30], plain, shares=True)


def test_rows_of_a_group_are_counted_once() -> None:
    one = Judged(TRUTH[:30], None, None)
    copies = Judged(np.tile(TRUTH[:30], 10), None, np.tile(np.arange(30), 10))
    (alone,) = calibration(SHARES[:30], one, shares=True)
    grouped = calibration(np.tile(SHARES[:30], 10), copies, shares=True)
    (low, high), (least, most) = alone.interval or (0, 0), grouped[0].interval or (0, 0)
    assert most - least > high - low  # three groups of thirty are in the first bin


def test_means_have_the_intervals_of_means() -> None:
    predicted = 3 * SHARES
    truth = predicted + DRAW.normal(size=500)
    own, *_ = calibration(predicted, Judged(truth, None, None), shares=False)
    inside = truth[predicted <= own.high * (1 + 1e-5)]
    assert len(inside) == own.rows
    half = 1.96 * inside.std(ddof=1) / np.sqrt(own.rows)
    assert own.interval == pytest.approx((inside.mean() - half, inside.mean() + half), rel=1e-3)
