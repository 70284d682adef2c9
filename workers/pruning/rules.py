"""The rules by which members end early, by the name that the spec has for each pruner.

A rule is a class and an entry in this list: it says after which epochs of a training it decides,
and whom to end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import Pruner as PrunerName
from ridgeway.spec.spec import JobSpec

INTERVALS = 10  # rungs of the median rule in a training, about


class Rule(Protocol):
    """Decides which members end early; the epochs at which it does are its rungs."""

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs after which it decides, ascending; the last epoch is none of them."""
        ...

    def prunes(
        self, curves: np.ndarray, others: np.ndarray, complete: np.ndarray, maximise: bool
    ) -> np.ndarray:
        """Tell which members to end: (P,) of bool.

        curves (P, step): each member's epochs so far, in the order of numbers. others (N,): what
        other trials reported at this epoch, NaN where they did not; complete (N,): which of them
        are COMPLETE.
        """
        ...


@dataclass(frozen=True)
class MedianRule:
    """Ends who is worse at its best than the median of complete trials at this epoch.

    Optuna's MedianPruner.
    """

    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1

    @classmethod
    def over(cls, epochs: int) -> MedianRule:
        """Return a rule with a rung every tenth of the epochs, from the first tenth on."""
        interval = max(1, epochs // INTERVALS)
        return cls(n_warmup_steps=interval, interval_steps=interval)

    def rungs(self, epochs: int) -> list[int]:
        # Optuna finds the first step of an interval in this way where every epoch is reported.
        return [
            step
            for step in range(max(1, self.n_warmup_steps), epochs)
            if (step - 1 if step > 1 else -1) < self._interval_start(step)
        ]

    def _interval_start(self, step: int) -> int:
        return step - (step - self.n_warmup_steps) % self.interval_steps

    def prunes(
        self, curves: np.ndarray, others: np.ndarray, complete: np.ndarray, maximise: bool
    ) -> np.ndarray:
        if complete.sum() < max(1, self.n_startup_trials):
            return np.zeros(len(curves), dtype=bool)
        best = (np.fmax if maximise else np.fmin).reduce(curves, axis=1)
        reported = others[complete]
        reported = reported[~np.isnan(reported)]
        with np.errstate(invalid="ignore"):  # the middle of two infinities is no number
            median = np.percentile(reported, 50.0) if len(reported) else np.nan
        worse = best < median if maximise else best > median  # never, where the median is NaN
        return worse | np.isnan(best)


@dataclass(frozen=True)
class HalvingRule:
    """Lets the best 1/reduction_factor at a rung go on: Optuna's SuccessiveHalvingPruner.

    Rungs are at min_resource * reduction_factor ** (min_early_stopping_rate + 0, 1, 2, ...).
    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (2020), algorithm 2.
    """

    min_resource: int = 1
    reduction_factor: int = 4
    min_early_stopping_rate: int = 0

    @classmethod
    def over(cls, epochs: int) -> HalvingRule:
        """Return a rule whose first rung is a hundredth of the epochs.

        That is what Optuna's automatic `min_resource` comes to once a trial is complete.
        """
        return cls(min_resource=max(1, epochs // 100))

    def rungs(self, epochs: int) -> list[int]:
        found: list[int] = []
        step = self.min_resource * self.reduction_factor**self.min_early_stopping_rate
        while step < epochs:
            found.append(step)
            step *= self.reduction_factor
        return found

    def prunes(
        self, curves: np.ndarray, others: np.ndarray, complete: np.ndarray, maximise: bool
    ) -> np.ndarray:
        values = as_loss(curves[:, -1], maximise)  # (P,)
        rivals = np.sort(as_loss(others[~np.isnan(others)], maximise))
        # NaN compares as False: it beats nobody and, pruned at once, is nobody's rival.
        earlier = np.tri(len(values), k=-1, dtype=bool)  # [member, before it]
        better = np.searchsorted(rivals, values) + (
            (values[None, :] < values[:, None]) & earlier
        ).sum(1)
        competing = len(rivals) + np.cumsum(~np.isnan(values))  # each counts itself
        promoted = np.maximum(competing // self.reduction_factor, 1)
        return (better >= promoted) | np.isnan(values)


# Makes a rule for a training of so many epochs. The pruner `none` has no rule.
RULES: Mapping[PrunerName, Callable[[int], Rule]] = {
    "median": MedianRule.over,
    "halving": HalvingRule.over,
}


def rule_of(spec: JobSpec) -> Rule | None:
    """Return the rule that the job's `pruner` names, fitted to its epochs; None for `none`."""
    make = RULES.get(spec.pruner)
    return make(spec.epochs) if make else None
