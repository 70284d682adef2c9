"""What the strengths of a path reached on the job's folds: just trained, or trials of the study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ridgeway.study.reading import StudyTrial
from workers.population.results import PopulationResult


@dataclass(frozen=True)
class PathScores:
    """What P strengths reached on F folds.

    values, standard_errors (P,), fold_values (P, F): NaN where training diverged. nonzero_weights
    (P,), features (P,): means over folds; features are None where the model's are not known.
    settled (P,): whether zeros had come to rest.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    fold_values: np.ndarray
    nonzero_weights: np.ndarray
    features: np.ndarray | None
    settled: np.ndarray

    @classmethod
    def of_population(cls, result: PopulationResult) -> PathScores:
        """Return what a population reached."""
        return cls(
            values=result.values,
            standard_errors=result.standard_errors,
            fold_values=result.fold_values,
            nonzero_weights=result.nonzero_weights.mean(1),
            features=None if result.features is None else result.features.mean(1),
            settled=result.settled,
        )

    def beside(self, others: PathScores, order: Sequence[int]) -> PathScores:
        """Return both, the others after these, then in this order of places."""

        def put(own: np.ndarray, more: np.ndarray) -> np.ndarray:
            return np.concatenate([own, more])[list(order)]

        features = None
        if self.features is not None and others.features is not None:
            features = put(self.features, others.features)
        return PathScores(
            values=put(self.values, others.values),
            standard_errors=put(self.standard_errors, others.standard_errors),
            fold_values=put(self.fold_values, others.fold_values),
            nonzero_weights=put(self.nonzero_weights, others.nonzero_weights),
            features=features,
            settled=put(self.settled, others.settled),
        )

    @classmethod
    def of_trials(cls, trials: Sequence[StudyTrial]) -> PathScores:
        """Return what a job's own complete trials reached, as workers wrote it."""
        facts = [trial.facts for trial in trials]
        features = [own.features for own in facts]
        values = np.array([trial.value for trial in trials], dtype=float)
        return cls(
            values=values,
            standard_errors=np.array([own.standard_error for own in facts], dtype=float),
            fold_values=np.array([own.fold_values for own in facts], dtype=float),
            nonzero_weights=np.array([own.nonzero_weights for own in facts], dtype=float),
            features=None if None in features else np.array(features, dtype=float),
            settled=np.array([own.settled is not False for own in facts]),
        )
