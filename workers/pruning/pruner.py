"""Decisions at a rung: Optuna's pruners, for all members of a population at once.

A decision is what Optuna's pruner would say if every member reported its fold mean at this epoch
and was then asked, one after the other in the order of numbers, all of them still RUNNING: a member
sees what those before it reported at this rung, and what the rest of the study has reported so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ridgeway.spec.spec import JobSpec
from workers.pruning.reports import Reports
from workers.pruning.rules import Rule, rule_of


@dataclass(frozen=True)
class Pruner:
    """A rule and the reports that it compares members with."""

    rule: Rule
    reports: Reports
    maximise: bool

    def rungs(self, epochs: int) -> list[int]:
        """Return the epochs after which to ask, ascending."""
        return self.rule.rungs(epochs)

    def decide(self, step: int, curves: Mapping[int, Sequence[float]]) -> set[int]:
        """Return the numbers of the trials to end after epoch `step`, a rung.

        curves: number -> mean over folds after each epoch 1 ... step, of the trials that are alive.
        """
        if not curves:
            return set()
        numbers = sorted(curves)
        own = np.array([curves[number] for number in numbers], dtype=float)
        assert own.shape[1] == step, f"a curve of {own.shape[1]} epochs at epoch {step}"
        others, complete = self.reports.at(step, numbers)
        ended = self.rule.prunes(own, others, complete, self.maximise)
        return {numbers[index] for index in np.flatnonzero(ended)}


def pruner_of(spec: JobSpec, reports: Reports) -> Pruner | None:
    """Return the job's pruner, which compares with these reports; None where the job has none."""
    rule = rule_of(spec)
    return Pruner(rule, reports, spec.maximise) if rule else None
