"""Paired comparisons: the corrected resampled t-test, and intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import RepeatedKFold

from workers.answer.comparing import corrected_interval, corrected_test, percentile_interval


def test_without_shared_training_rows_it_is_the_paired_t_test():
    draw = np.random.default_rng(0)
    first, second = draw.normal(0.3, 1, 12), draw.normal(0, 1, 12)
    found = corrected_test(first - second, valid_share=0.0)
    reference = stats.ttest_rel(first, second)
    assert found.p == pytest.approx(reference.pvalue, rel=1e-12)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-12)
    assert found.folds == 12


def test_shared_training_rows_widen_the_interval_by_nadeau_and_bengios_factor():
    differences = np.array([0.1, 0.3, 0.2, 0.5, 0.4])
    plain, corrected = corrected_test(differences, 0.0), corrected_test(differences, 0.25)
    factor = np.sqrt((1 / 5 + 0.25) / (1 / 5))
    width = plain.interval[1] - plain.difference
    assert corrected.interval[1] - corrected.difference == pytest.approx(factor * width)
    assert corrected.p > plain.p


def test_a_difference_without_spread_is_certain_and_none_is_none():
    certain = corrected_test(np.full(5, 0.2), 0.25)
    assert (certain.found, certain.interval) == (True, (0.2, 0.2))
    assert certain.p == 0
    nothing = corrected_test(np.zeros(5), 0.25)
    assert (nothing.found, nothing.p) == (False, 1.0)


def test_the_detectable_difference_is_found_four_times_in_five():
    draw = np.random.default_rng(1)
    truth, found = 0.0, []
    for _ in range(4000):
        sample = draw.normal(truth, 1.0, 20)
        if not truth:  # of a sample of the middle spread
            sample = (sample - sample.mean()) / sample.std(ddof=1)
            truth = corrected_test(sample, 0.0).detectable
            continue
        found.append(corrected_test(sample, 0.0).found)
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_two_arms_that_are_the_same_are_told_apart_in_at_most_one_of_twenty():
    draw, claims = np.random.default_rng(2), 0
    for _ in range(200):
        x, y = draw.normal(size=(60, 4)), draw.normal(size=60)
        differences = []
        for train, valid in RepeatedKFold(n_splits=5, n_repeats=2, random_state=0).split(x):
            errors = []
            for columns in ([0, 1], [2, 3]):  # neither tells anything
                model = LinearRegression().fit(x[train][:, columns], y[train])
                errors.append(np.mean((model.predict(x[valid][:, columns]) - y[valid]) ** 2))
            differences.append(errors[1] - errors[0])
        claims += corrected_test(np.array(differences), 0.25).found
    assert claims <= 10


def test_the_interval_of_values_has_the_same_correction():
    values = np.array([1.0, 1.2, 0.9, 1.1])
    low, high = corrected_interval(values, 0.25)
    assert (low + high) / 2 == pytest.approx(values.mean())


def test_percentiles_leave_out_replicates_without_a_value():
    replicates = np.concatenate([np.linspace(0, 1, 101), [np.nan] * 50])
    assert percentile_interval(replicates, 0.9) == pytest.approx((0.05, 0.95))
    assert percentile_interval(np.full(100, np.nan), 0.9) is None
