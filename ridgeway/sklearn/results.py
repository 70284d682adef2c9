"""A job's answer in scikit-learn's words: `cv_results_`, `best_params_`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ridgeway.answers import Recommended
from ridgeway.study.reading import StudyTrial


def cv_results(trials: Sequence[StudyTrial], maximise: bool) -> dict[str, Any]:
    """Return the complete trials as `GridSearchCV.cv_results_` has its candidates.

    Scores are the objective on each fold's validation rows, and its negative where less is better:
    greater is better. `mean_features` and `mean_nonzero_weights` are over the folds.
    """
    sign = 1.0 if maximise else -1.0
    values = np.array([np.nan if trial.value is None else trial.value for trial in trials])
    results: dict[str, Any] = {
        f"param_{name}": _column(trials, name)
        for name in dict.fromkeys(name for trial in trials for name in trial.params)
    }
    results["params"] = [dict(trial.params) for trial in trials]
    folds = [trial.facts.fold_values or [] for trial in trials]
    for place in range(max(map(len, folds), default=0)):
        own = [each[place] if place < len(each) else np.nan for each in folds]
        results[f"split{place}_test_score"] = sign * np.array(own)
    results["mean_test_score"] = sign * values
    results["std_test_score"] = np.array([np.std(each) if each else np.nan for each in folds])
    results["rank_test_score"] = _ranks(sign * values)
    results["mean_features"] = _facts([trial.facts.features for trial in trials])
    results["mean_nonzero_weights"] = _facts([trial.facts.nonzero_weights for trial in trials])
    results["trial"] = np.array([trial.number for trial in trials])
    return results


def best_params(recommended: Recommended) -> dict[str, float | str]:
    """Return the parameters of what is recommended; of the constant none."""
    if recommended.choice == "baseline":
        return {}
    chosen = recommended.best if recommended.choice == "best" else recommended.simplest
    return dict(chosen.params)


def _column(trials: Sequence[StudyTrial], name: str) -> np.ma.MaskedArray[Any, Any]:
    """Return a parameter of each trial, masked where a trial has none."""
    values = np.array([trial.params.get(name) for trial in trials], object)
    return np.ma.masked_array(values, [name not in trial.params for trial in trials])


def _facts(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _ranks(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return the rank of each score, 1 for the largest; equals share the best rank."""
    return np.array([1 + int((scores > own).sum()) for own in scores], np.int32)
