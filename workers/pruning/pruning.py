"""Which members of a population to end at a rung: Optuna's pruners, decided for all at once.

A decision is what Optuna's pruner would say if every member reported its fold mean at this epoch
and was then asked, one after the other in the order of numbers, all of them still RUNNING: a member
sees what those before it reported at this rung, and what the rest of the study has reported so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.spec.spec import JobSpec
from ridgeway.study import reports

INTERVALS = 10  # rungs of the median rule in a training, about


class Rule(Protocol):
    """How a pruner decides; the epochs at which it does are its rungs."""

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which it decides, ascending; ending a trial at its end saves nothing."""
        ...

    def prunes(
        self, curves: np.ndarray, others: np.ndarray, complete: np.ndarray, maximise: bool
    ) -> np.ndarray:
        """Which members to end: (P,) of bool.

        curves (P, step): each member's epochs so far, in the order of numbers. others (N,): what
        other trials reported at this epoch, NaN where they did not; complete (N,): which of them
        are COMPLETE.
        """
        ...


@dataclass(frozen=True)
class MedianRule:
    """optuna.pruners.MedianPruner: worse at its best than the median of complete trials here."""

    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1

    def rungs(self, epochs: int) -> list[int]:
        # As Optuna tells the first step of an interval when every epoch is reported.
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
    """optuna.pruners.SuccessiveHalvingPruner: the best 1/reduction_factor at a rung go on.

    Rungs are at min_resource * reduction_factor ** (min_early_stopping_rate + 0, 1, 2, ...).
    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (2020), algorithm 2.
    """

    min_resource: int = 1
    reduction_factor: int = 4
    min_early_stopping_rate: int = 0

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
        sign = -1.0 if maximise else 1.0
        values = sign * curves[:, -1]  # (P,)
        rivals = np.sort(sign * others[~np.isnan(others)])
        # NaN compares as False: it beats nobody and, pruned at once, is nobody's rival.
        earlier = np.tri(len(values), k=-1, dtype=bool)  # [member, before it]
        better = np.searchsorted(rivals, values) + (
            (values[None, :] < values[:, None]) & earlier
        ).sum(1)
        competing = len(rivals) + np.cumsum(~np.isnan(values))  # each counts itself
        promoted = np.maximum(competing // self.reduction_factor, 1)
        return (better >= promoted) | np.isnan(values)


@dataclass
class History:
    """What a study's trials reported at the rungs `steps`, in columns.

    A trial that reported NaN counts as one that did not report: no rule tells them apart.
    """

    steps: Sequence[int]
    _last_id: int = 0
    _unfinished: set[int] = field(default_factory=set[int])
    _rows: dict[int, int] = field(default_factory=dict[int, int])  # of a trial's number
    _complete: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    _values: np.ndarray = field(init=False)  # (steps, room)

    def __post_init__(self) -> None:
        self._column = {step: index for index, step in enumerate(self.steps)}
        self._values = np.full((len(self.steps), 0), np.nan)

    def __len__(self) -> int:
        return len(self._rows)

    def sync(self, transaction: Connection, study_id: int) -> None:
        """Take in what has come to the study since the last time."""
        found = reports.new_reports(
            transaction, study_id, self.steps, self._last_id, self._unfinished
        )
        for trial in found:
            self.take(trial.number, trial.state, trial.points)
            self._last_id = max(self._last_id, trial.id)
            if trial.state.is_finished():
                self._unfinished.discard(trial.id)
            else:
                self._unfinished.add(trial.id)

    def take(self, number: int, state: TrialState, reported: Mapping[int, float]) -> None:
        """What is known now of a trial: its state, and values by epoch; others than rungs are left.

        Taken in again, a trial keeps what it had reported before.
        """
        row = self._rows.setdefault(number, len(self._rows))
        if row >= len(self._complete):
            self._grow()
        self._complete[row] = state == TrialState.COMPLETE
        for step, value in reported.items():
            if step in self._column:
                self._values[self._column[step], row] = value

    def at(self, step: int, without: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """What trials reported at a rung (N,), NaN where they did not, and which are COMPLETE (N,).

        `without`: the numbers of those who are asking.
        """
        size = len(self._rows)
        own = [self._rows[number] for number in without if number in self._rows]
        values, complete = self._values[self._column[step], :size], self._complete[:size]
        if own:
            values, complete = np.delete(values, own), np.delete(complete, own)
        return values, complete

    def _grow(self) -> None:
        more = max(64, len(self._complete))
        self._complete = np.concatenate([self._complete, np.zeros(more, dtype=bool)])
        empty = np.full((len(self.steps), more), np.nan)
        self._values = np.concatenate([self._values, empty], axis=1)


@dataclass(frozen=True)
class Pruner:
    """A rule and what it compares with."""

    rule: Rule
    history: History
    maximise: bool

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which to ask."""
        return self.rule.rungs(epochs)

    def decide(self, step: int, curves: Mapping[int, Sequence[float]]) -> set[int]:
        """The numbers of the trials to end after epoch `step`, a rung.

        curves: number -> mean over folds after each epoch 1 ... step, of the trials that are alive.
        """
        if not curves:
            return set()
        numbers = sorted(curves)
        own = np.array([curves[number] for number in numbers], dtype=float)
        assert own.shape[1] == step, f"a curve of {own.shape[1]} epochs at epoch {step}"
        others, complete = self.history.at(step, numbers)
        ended = self.rule.prunes(own, others, complete, self.maximise)
        return {numbers[index] for index in np.flatnonzero(ended)}


def rule_of(spec: JobSpec) -> Rule | None:
    """The rule that the job's `pruner` names, fitted to its epochs; None for `none`.

    median: MedianPruner(n_startup_trials=5, n_warmup_steps=k, interval_steps=k), k a tenth of the
    epochs. halving: SuccessiveHalvingPruner(min_resource=a hundredth of the epochs), which is what
    its default comes to once a trial is complete.
    """
    if spec.pruner == "median":
        interval = max(1, spec.epochs // INTERVALS)
        return MedianRule(n_warmup_steps=interval, interval_steps=interval)
    if spec.pruner == "halving":
        return HalvingRule(min_resource=max(1, spec.epochs // 100))
    return None


def history_of(spec: JobSpec) -> History:
    """An empty history that keeps what the job's pruner compares; of nothing where it has none."""
    rule = rule_of(spec)
    return History(rule.rungs(spec.epochs) if rule else [])


def pruner_of(spec: JobSpec, history: History) -> Pruner | None:
    """The job's pruner on a history made by `history_of`; None where the job has none."""
    rule = rule_of(spec)
    return Pruner(rule, history, spec.maximise) if rule else None
