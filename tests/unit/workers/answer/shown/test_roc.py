"""ROC curves and areas beside scikit-learn's, and DeLong's variance beside its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import auc, roc_auc_score, roc_curve

from workers.answer.shown.roc import NORMAL, Judged, area, curve

DRAW = np.random.default_rng(0)
TRUTH = (DRAW.random(600) < 0.3).astype(float)
SCORES = (DRAW.normal(size=600) + TRUTH).round(2)  # with ties
WEIGHTS = DRAW.integers(1, 4, 600).astype(float)


def judged(weighted: bool = False, groups: np.ndarray | None = None) -> Judged:
    return Judged(TRUTH, WEIGHTS if weighted else None, groups)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_curve_is_scikit_learns_and_thinned_it_keeps_its_area(weighted: bool) -> None:
    weights = WEIGHTS if weighted else None
    theirs = roc_curve(TRUTH, SCORES, sample_weight=weights)[:2]
    np.testing.assert_array_equal(curve(SCORES, judged(weighted), 10**6), theirs)
    false, true = curve(SCORES, judged(weighted), 60)
    assert len(false) <= 60
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert set(zip(false, true, strict=True)) <= set(zip(*theirs, strict=True))
    assert auc(false, true) == pytest.approx(auc(*theirs), abs=0.01)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_area_is_scikit_learns(weighted: bool) -> None:
    found = area(SCORES, judged(weighted))
    assert found is not None
    weights = WEIGHTS if weighted else None
    assert found[0] == pytest.approx(roc_auc_score(TRUTH, SCORES, sample_weight=weights))


def test_the_interval_has_delongs_variance() -> None:
    """DeLong et al. (1988): S10 / m + S01 / n of the placements, pair by pair."""
    found = area(SCORES, judged())
    assert found is not None
    value, interval = found
    positive, negative = SCORES[TRUTH > 0], SCORES[TRUTH == 0]
    apart = positive[:, None] - negative
    order = np.where(apart > 0, 1.0, np.where(apart == 0, 0.5, 0.0))
    variance = order.mean(1).var(ddof=1) / len(positive)
    variance += order.mean(0).var(ddof=1) / len(negative)
    half = NORMAL * np.sqrt(variance) / (value * (1 - value))
    assert interval == pytest.approx(expit(logit(value) + np.array([-half, half])))


def test_copies_of_rows_in_groups_tell_no_more_than_the_rows() -> None:
    alone = area(SCORES, judged())
    assert alone is not None
    twice = Judged(np.tile(TRUTH, 2), None, np.tile(np.arange(600), 2))
    grouped = area(np.tile(SCORES, 2), twice)
    assert grouped is not None
    assert grouped[0] == pytest.approx(alone[0])
    assert grouped[1] == pytest.approx(alone[1], abs=1e-3)
    alike = area(np.tile(SCORES, 2), Judged(np.tile(TRUTH, 2), None, None))
    assert alike is not None
    assert alike[1] is not None
    assert alone[1] is not None
    narrower = np.diff(alike[1]) / np.diff(alone[1])
    assert narrower == pytest.approx(1 / np.sqrt(2), abs=0.01)


def test_without_a_variance_there_is_no_interval_and_without_a_side_no_area() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    assert area(truth, Judged(truth, None, None)) == (1.0, None)
    assert area(np.zeros(4), Judged(truth, None, None)) == (0.5, None)
    assert area(np.arange(4.0), Judged(np.ones(4), None, None)) is None
    one_row = Judged(np.array([0.0, 1.0, 0.0]), None, None)
    assert area(np.array([0.1, 0.3, 0.5]), one_row) == (0.5, None)
