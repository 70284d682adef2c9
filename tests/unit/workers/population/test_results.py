"""Standard errors over folds, of values and of their differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ridgeway.spec.validation import FoldsValidation
from workers.population.results import error_of_differences, fold_errors

ONCE = FoldsValidation(folds=5)


def test_the_error_of_a_difference_is_scipys_over_the_folds():
    trials = np.random.default_rng(0).normal(size=(4, 5))
    errors = [stats.sem(trials[other] - trials[0]) for other in (1, 2, 3)]
    assert error_of_differences(trials.tolist(), ONCE) == pytest.approx(np.median(errors))


def test_repeated_folds_are_not_so_many_times_the_evidence():
    trials = np.random.default_rng(0).normal(size=(2, 20))
    repeated = FoldsValidation(folds=5, repeats=4)
    differences = trials[1] - trials[0]
    corrected = np.sqrt((1 / 20 + 1 / 4) * differences.var(ddof=1))
    assert error_of_differences(trials.tolist(), repeated) == pytest.approx(corrected)
    assert fold_errors(differences[None], repeated) == pytest.approx([corrected])


def test_what_all_trials_share_is_no_error():
    rng = np.random.default_rng(0)
    folds, own = rng.normal(0, 10, 5), rng.normal(0, 0.1, (6, 5))
    expected = error_of_differences(own.tolist(), ONCE)
    assert error_of_differences((folds + own).tolist(), ONCE) == pytest.approx(expected)


def test_equal_trials_and_a_single_one_tell_nothing():
    assert error_of_differences([[1.0, 2.0], [1.0, 2.0]], ONCE) == 0.0
    assert error_of_differences([[1.0, 2.0]], ONCE) == 0.0
    assert error_of_differences([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]], ONCE) == pytest.approx(0.5)
