"""Jobs and the answer as a person reads them; plain text where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.client.plain import Plain
from ridgeway.client.show_answer import (
    answer_summary,
    best_fact,
    fact_table,
    objective_of,
    params_phrase,
)
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Front, Job, StoredSpec, Trial
from ridgeway.words import count, duration, number, short_moment

ID_BEGINNING = 13  # characters of a job's id, which hold the millisecond that it was made in
PIPE_WIDTH = 120  # columns where there is no terminal to fill
STATE_STYLE = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "red",
    "paused": "yellow",
    "running": "cyan",
}


def console(stderr: bool = False) -> Console:
    """Make a console for standard output, or for standard error, where progress belongs."""
    made = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not (made.is_terminal or made.is_jupyter):
        made.width = PIPE_WIDTH
    return made


def write(shown: RenderableType, *, stderr: bool = False) -> None:
    """Print to standard output, or error, without the blanks that fill a terminal's lines."""
    out = console(stderr)
    if out.is_terminal or out.is_jupyter:
        out.print(Plain(shown))
        return
    with out.capture() as captured:
        out.print(Plain(shown))
    lines = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    (sys.stderr if stderr else sys.stdout).write(lines)


# --- progress ---------------------------------------------------------------------------------


class JobProgress:
    """A progress bar on standard error; a line for every tenth of the way in a pipe.

    It moves with what workers tell of trials in training; the numbers are of those that have ended.
    """

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._live = self._console.is_terminal or self._console.is_jupyter
        self._told = -1
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[trials]} trials   {task.fields[note]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("queued", total=None, trials="", note="")

    def __enter__(self) -> JobProgress:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._bar.stop()

    def update(self, job: Job) -> None:
        """Show how far the job is."""
        trials, note = f"{job.progress.ended}/{job.progress.trials}", _note(job)
        if self._live:
            self._bar.update(
                self._task,
                description=job.state,
                completed=job.progress.fraction,
                total=1.0,
                trials=trials,
                note=note,
            )
            return
        tenth = int(10 * job.progress.fraction)
        if tenth != self._told or job.ended:
            self._told = tenth
            self._console.print(Plain(progress_line(job)))


def progress_line(job: Job) -> str:
    """Tell in a line how far the job is."""
    trials = f"{job.progress.ended}/{job.progress.trials} trials"
    return f"{job.state}: {trials}   {_note(job)}".rstrip()


def _note(job: Job) -> str:
    """Tell the best value so far and what is left."""
    parts: list[str] = []
    if job.best is not None:
        parts.append(f"best {objective_of(job)} {number(job.best.value)}")
    if job.ended:
        return "   ".join(parts)
    # An older service tells no more than that all trials have ended.
    if job.answering or job.progress.ended == job.progress.trials:
        parts.append(f"answering, from {count(job.progress.complete, 'trial')}")
        return "   ".join(parts)
    if job.progress.fraction * job.progress.trials > job.progress.ended:
        parts.append(f"{int(100 * job.progress.fraction)}% done")
    if job.progress.eta_seconds is not None:
        parts.append(f"{duration(job.progress.eta_seconds)} left")
    return "   ".join(parts)


def name_of(job: Job) -> str:
    """Return what the job is called: its name, or its data set's."""
    return job.name or (job.spec.dataset if isinstance(job.spec, JobSpec) else "(no name)")


def _strange(job: Job) -> str | None:
    """Tell what of the job can't be read: by the service, or by this client of an older release."""
    if job.unreadable is None and isinstance(job.spec, StoredSpec):
        return "The job's spec is a newer release's, which this client can't read."
    return job.unreadable


# --- a job ------------------------------------------------------------------------------------


def job_summary(job: Job) -> RenderableType:
    """Show a job in a few lines: the answer where there is one, else how far it is."""
    parts: list[RenderableType] = [_headline(job)]
    if job.error:
        parts.append(Text(job.error, style="red"))
    if job.recommended is not None:
        parts.append(answer_summary(job, job.recommended))
    elif job.best is not None:
        parts.append(fact_table([best_fact(job, job.best)]))
    notes = [*([strange] if (strange := _strange(job)) else []), *job.warnings]
    parts += [Text(f"Note: {note}", style="yellow") for note in notes]
    return Group(*parts)


def _headline(job: Job) -> Text:
    line = Text(name_of(job), style="bold")
    line.append("   ").append(job.state, style=STATE_STYLE.get(job.state, ""))
    line.append(f"   {job.progress.ended}/{job.progress.trials} trials", style="not bold")
    if job.progress.failed:
        line.append(f", {job.progress.failed} failed", style="not bold")
    if job.started_at is not None and job.finished_at is not None:
        seconds = (job.finished_at - job.started_at).total_seconds()
        speed = f", {job.progress.ended / seconds:.1f} trials/s" if seconds > 0 else ""
        line.append(f" in {duration(seconds)}{speed}", style="not bold")
    elif not job.ended:
        line.append(f"   {_note(job)}", style="not bold")
    return line


# --- lists ------------------------------------------------------------------------------------


def job_table(jobs: Iterable[Job]) -> FittingTable:
    """Show jobs, one a line."""
    table = FittingTable(
        [
            Column("id", words=True, whole=True, enough=ID_BEGINNING),
            *(Column(name, words=True) for name in ("name", "state", "trials", "best", "created")),
        ]
    )
    for job in jobs:
        best = f"{objective_of(job)} {number(job.best.value)}" if job.best else ""
        table.add_row(
            job.id,
            Text(name_of(job)),
            Text(job.state, style=STATE_STYLE.get(job.state, "")),
            f"{job.progress.ended}/{job.progress.trials}",
            best,
            short_moment(job.created_at),
        )
    return table


def trial_table(trials: Iterable[Trial]) -> FittingTable:
    """Show trials, one a line."""
    names = ("number", "state", "value", "nonzero weights", "params")
    table = FittingTable(Column(name, words=name in ("state", "params")) for name in names)
    for trial in trials:
        params = {name: _cell(value) for name, value in trial.params.items()}
        values = [number(trial.value), number(trial.nonzero_weights)]
        table.add_row(str(trial.number), trial.state, *values, Text(params_phrase(params)))
    return table


def _cell(value: float | int | str | bool | None) -> float | str:
    """Return a parameter to show; a stock Optuna process may have put anything there."""
    return str(value) if value is None or isinstance(value, bool) else value


def front_table(front: Front) -> FittingTable:
    """Show the trials of a Pareto front, one a line."""
    names = [name.replace("_", " ") for name in ("number", *front.objectives)]
    table = FittingTable([*map(Column, names), Column("params", words=True)])
    for trial in front.trials:
        values = [number(value) for value in trial.values]
        table.add_row(str(trial.number), *values, params_phrase(trial.params))
    return table
