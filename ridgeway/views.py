"""Views of jobs, trials and data sets, as JSON between the service and its clients."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, RootModel

from ridgeway.answers import Params, Recommended, View
from ridgeway.spec.names import Task
from ridgeway.spec.profiles import ColumnProfile, Notice
from ridgeway.spec.spec import JobSpec

JobState: TypeAlias = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
TrialState: TypeAlias = Literal["running", "complete", "pruned", "fail", "waiting"]
# Any Optuna process may add trials to a study, with categories of its own.
TrialParams: TypeAlias = dict[str, float | int | str | bool | None]

ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Progress(View):
    """The progress of a job. `trials` is the budget; the other counts are trials in that state."""

    trials: int
    complete: int
    pruned: int
    failed: int
    running: int
    fraction: float = Field(
        description="of the budget: what is complete, pruned or failed, and the trained part of "
        "what workers are at, as they told last"
    )
    eta_seconds: float | None = Field(
        description="null before workers have told of any training, once the search is over, and "
        "for a reopened job"
    )

    @property
    def ended(self) -> int:
        """Return how many trials of the budget have come to an end."""
        return self.complete + self.pruned + self.failed


class Best(View):
    """The best complete trial so far."""

    number: int
    value: float
    standard_error: float | None
    params: Params
    nonzero_weights: float = Field(
        description="weights that are not zero, mean over the models of its folds"
    )
    weights: int = Field(description="penalised weights of one model")


class LambdaRange(View):
    """Lowest and highest λ that the trials of a job may have."""

    low: float
    high: float


class Links(View):
    """Addresses to look further, relative to the service."""

    self: str
    trials: str
    path: str = ""
    features: str = ""
    shown: str = ""
    plots: str = ""
    report: str = ""
    dashboard: str


class StoredSpec(RootModel[JsonValue]):
    """A spec as it is stored: one of another release, which the reader can't read."""

    model_config = ConfigDict(frozen=True)


class Job(View):
    """A search job as `GET /v1/jobs/{id}` answers it."""

    id: str
    name: str
    state: JobState | str = Field(
        union_mode="left_to_right", description="or what another release calls it"
    )
    study: str
    spec: JobSpec | StoredSpec = Field(
        union_mode="left_to_right", description="every default filled in"
    )
    unreadable: str | None = Field(
        None,
        description="what of the job this release can't read, and why, as another one wrote it: "
        "`spec` and `state` are then shown as they are stored, anything else is null",
    )
    progress: Progress
    lambda_range: LambdaRange | None = Field(
        None, description='what `"lambda": "auto"` came to; null before a worker has found out'
    )
    best: Best | None
    recommended: Recommended | None
    error: str | None
    warnings: list[str]
    waiting: str | None = Field(
        None,
        description="why no live worker can take the job, or that it waits for the store; the last "
        "of `warnings` too; null where one can, or none has to",
    )
    answering: bool = Field(
        False, description="the search is over, and the answer is being worked out"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: Links

    @property
    def ended(self) -> bool:
        """Return True in a state that the job does not leave by itself."""
        return self.state in ENDED

    def _summary(self) -> str:
        own = self.progress
        name = f" {self.name!r}" if self.name else ""
        told = f"{self.id}{name} {self.state}, {own.ended}/{own.trials} trials"
        if self.recommended is not None and self.recommended.verdict is not None:
            return f"{told}: {self.recommended.verdict.sentence}"
        return f"{told}, best {self.best.value:.4g}" if self.best is not None else told


class Span(View):
    """The least and the most of something that is not known precisely."""

    low: float
    high: float


class Estimate(View):
    """What a job would come to if it were submitted now."""

    spec: JobSpec = Field(description="every default filled in, target and task told of the data")
    trials: int = Field(description="the budget; a grid's is its size")
    workers: int = Field(description="alive, and able to train it")
    jobs_ahead: int = Field(
        description="unfinished jobs of the same key, of no lower priority: they take turns with "
        "it, or go before it"
    )
    share: float = Field(
        1.0,
        description="of the workers' time for all jobs of the key together, by the weights of the "
        "keys that have unfinished jobs; 1 where no other has any",
    )
    seconds: Span | None = Field(
        description="on these workers, or on one where none is alive, without what other jobs "
        "take; null where no job like it has been trained"
    )
    judged_by: int = Field(description="jobs like it that this rests on")
    sentence: str
    warnings: list[str]


class Code(View):
    """A request for a job in the three ways to send it."""

    curl: str
    python: str
    shell: str = Field(description="by the command `ridgeway submit`")


class DryRun(Estimate):
    """What a job would come to if it were submitted now, and the ways to submit it."""

    code: Code


class JobPage(View):
    """Jobs, newest first; `next` is the cursor of the page after, if there is one."""

    jobs: list[Job]
    next: str | None


class Trial(View):
    """A trial in a list."""

    number: int
    state: TrialState
    value: float | None
    params: TrialParams
    standard_error: float | None
    nonzero_weights: float | None = Field(
        description="weights that are not zero, mean over the models of its folds"
    )
    reason: str | None = Field(description="why it failed or was pruned")
    warm_start: str | None = Field(
        None, description="the study that it was copied from to teach the sampler; no own trial"
    )
    started_at: datetime | None
    finished_at: datetime | None


class TrialPage(View):
    """Trials in the order asked for; `next` is the cursor of the page after."""

    trials: list[Trial]
    next: str | None


class FrontTrial(View):
    """A trial that no other of its job beats in every objective."""

    number: int
    values: list[float] = Field(description="in the order of the objectives")
    params: Params


class Front(View):
    """The Pareto front of a job's complete trials, from the best in the first objective on."""

    objectives: list[str]
    trials: list[FrontTrial]


class PlotSummary(View):
    """A plot that a job has something of."""

    name: str
    subject: str = Field(description="what the plot is of")
    title: str = Field(description="what it shows: the finding")
    link: str = Field(description="`?format=` json, svg or png")


class PlotList(View):
    """The plots that a job has something of."""

    plots: list[PlotSummary]


class TrialDetail(Trial):
    """One trial with its curve and what each fold gave."""

    curve: list[float | None] = Field(description="mean over folds of the objective, per epoch")
    fold_values: list[float] | None
    fold_nonzero_weights: list[int] | None = Field(
        description="weights that are not zero in the model of each fold"
    )
    attributes: dict[str, Any] = Field(description="every user attribute in the study")


class DatasetSummary(View):
    """A data set that jobs can name, in a list: what there is to know but its columns."""

    id: str | None = Field(description="of an upload; bundled and plug-in data sets have none")
    name: str
    kind: Literal["bundled", "uploaded", "plugin"]
    rows: int | None = Field(description="null for a plug-in's, which only workers can read")
    column_count: int | None
    target: str | None = Field(description="the column predicted by default")
    task: Task | None = Field(description="the task that this target implies")
    checksum: str | None
    bytes: int | None
    created_at: datetime | None


class JobUse(View):
    """A job that uses a data set."""

    id: str
    name: str
    state: str


class Preview(View):
    """The first rows of a data set as jobs read it, the values in the order of `columns`."""

    columns: list[str] = Field(description="the first ones, where there are very many")
    rows: list[list[float | str | None]] = Field(description="null where a value is missing")


class Dataset(DatasetSummary):
    """A data set with the profile of every column."""

    columns: list[ColumnProfile] | None = Field(
        description="null for a plug-in's, and where they are unreadable"
    )
    header: bool | None = Field(
        default=None,
        description="false of a CSV whose first row holds values: columns are numbered",
    )
    warnings: tuple[Notice, ...] = Field(
        default=(), description="of the file as a whole; each column has its own"
    )
    unreadable: str | None = Field(
        None, description="why this release can't read the columns, which another one wrote"
    )
    job_count: int = Field(0, description="jobs that use it")
    jobs: list[JobUse] = Field([], description="the newest of them")
    preview: Preview | None = Field(
        None, description="where `rows` were asked for; of a plug-in's there are none"
    )

    def _summary(self) -> str:
        return (
            f"{self.name!r}: {self.rows} rows, {self.column_count} columns, target {self.target!r}"
        )


class DatasetPage(View):
    """Data sets, those of every installation first; `next` is the cursor of the page after."""

    datasets: list[DatasetSummary]
    next: str | None
