"""What is drawn of a job: one frozen value, gathered by `ridgeway.jobs.evidence`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ridgeway.answers import Recommended
from ridgeway.features import Features
from ridgeway.paths import RegularisationPath
from ridgeway.plots.ped_anova import importance_of
from ridgeway.shown import Shown
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job, TrialState


@dataclass(frozen=True)
class Trials:
    """Trials that the job's workers trained, as columns of one length, in the order of numbers.

    None stands where a trial has no such thing. Of a large job there is every `every`-th trial, and
    those that the answer names; `there_are` counts all.
    """

    number: tuple[int, ...]
    state: tuple[TrialState, ...]
    value: tuple[float | None, ...]  # of the first objective; finite
    standard_error: tuple[float | None, ...]  # of the value, over the folds
    penalty: tuple[str | None, ...]
    strength: tuple[float | None, ...]  # λ
    nonzero_share: tuple[float | None, ...]  # of the penalised weights, mean over folds: 0 to 1
    features: tuple[float | None, ...]  # input columns that a model uses, mean over folds
    params: Mapping[str, tuple[float | str | None, ...]]  # all others, by name
    distributions: Mapping[str, str]  # of all parameters by name, as Optuna's JSON
    there_are: int
    every: int = 1

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True)
class Evidence:
    """A job with all that is drawn of it; what there is not (yet) is None."""

    job: Job
    spec: JobSpec
    answer: Recommended | None
    path: RegularisationPath | None
    features: Features | None
    shown: Shown | None
    trials: Trials

    @cached_property
    def importance(self) -> Mapping[str, float]:
        """Return the share that each parameter has in a trial's being among the best tenth."""
        return importance_of(self.trials, self.spec.maximise)
