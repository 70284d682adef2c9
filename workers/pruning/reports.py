"""The reports of a study's trials so far, with which members are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.spec.spec import JobSpec
from ridgeway.study import reports
from workers.pruning.rules import rule_of


@dataclass
class Reports:
    """A study's reports at the rungs `steps`, in columns.

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
        """Read what has come to the study since the last time."""
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
        """Enter a trial's state and its values by epoch; epochs that are no rungs are left out.

        A trial that is entered again keeps what it had reported before.
        """
        row = self._rows.setdefault(number, len(self._rows))
        if row >= len(self._complete):
            self._grow()
        self._complete[row] = state == TrialState.COMPLETE
        for step, value in reported.items():
            if step in self._column:
                self._values[self._column[step], row] = value

    def at(self, step: int, without: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return trials' values at a rung (N,), NaN where missing, and which are COMPLETE (N,).

        without: numbers of the trials to leave out, which are those that are asking.
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


def reports_of(spec: JobSpec) -> Reports:
    """Return empty reports at the rungs of the job's pruner; at none where it has none."""
    rule = rule_of(spec)
    return Reports(rule.rungs(spec.epochs) if rule else [])
