"""Jobs and the answer as a person reads them; plain text where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType

from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ridgeway.answers import Chosen, Params, Recommended
from ridgeway.client.plain import Plain
from ridgeway.client.words import duration, moment, number
from ridgeway.spec.names import OBJECTIVE_ROWS, PENALTY_ROWS
from ridgeway.spec.spec import FoldsValidation, JobSpec
from ridgeway.views import Best, Front, Job, StoredSpec, Trial

PIPE_WIDTH = 120  # columns where there is no terminal to fill
STATE_STYLE = {
    "succeeded": "green",
    "failed": "red",
    "cancelled": "red",
    "paused": "yellow",
    "running": "cyan",
}
PENALTY: dict[str, str] = {row.name: row.label for row in PENALTY_ROWS.values()}


def console(stderr: bool = False) -> Console:
    """Make a console for standard output, or for standard error, where progress belongs."""
    made = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not (made.is_terminal or made.is_jupyter):
        made.width = PIPE_WIDTH
    return made


def write(shown: RenderableType) -> None:
    """Print to standard output, without the blanks that fill a terminal's lines."""
    out = console()
    if out.is_terminal or out.is_jupyter:
        out.print(Plain(shown))
        return
    with out.capture() as captured:
        out.print(Plain(shown))
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


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
        trials, note = f"{ended_trials(job)}/{job.progress.trials}", _note(job)
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
            line = f"{job.state}: {trials} trials   {note}"
            self._console.print(Plain(line.rstrip()))


def _note(job: Job) -> str:
    """Tell the best value so far and what is left."""
    parts: list[str] = []
    if job.best is not None:
        parts.append(f"best {_objective(job)} {number(job.best.value)}")
    if job.ended:
        return "   ".join(parts)
    if ended_trials(job) == job.progress.trials:
        parts.append("refitting and scoring")
        return "   ".join(parts)
    if job.progress.fraction * job.progress.trials > ended_trials(job):
        parts.append(f"{int(100 * job.progress.fraction)}% done")
    if job.progress.eta_seconds is not None:
        parts.append(f"{duration(job.progress.eta_seconds)} left")
    return "   ".join(parts)


def _objective(job: Job) -> str:
    """Name what trials are judged by; of a spec that can't be read it is not known."""
    return job.spec.objective if isinstance(job.spec, JobSpec) else "value"


def _name(job: Job) -> str:
    """Return what the job is called: its name, or its data set's."""
    return job.name or (job.spec.dataset if isinstance(job.spec, JobSpec) else "(no name)")


def _how_judged(job: Job) -> str:
    if not isinstance(job.spec, JobSpec):
        return ""
    if isinstance(job.spec.validation, FoldsValidation):
        return f", mean ± standard error of {job.spec.folds} folds"
    return ", ± standard error over the validation rows"


def _strange(job: Job) -> str | None:
    """Tell what of the job can't be read: by the service, or by this client of an older release."""
    if job.unreadable is None and isinstance(job.spec, StoredSpec):
        return "The job's spec is a newer release's, which this client can't read."
    return job.unreadable


def ended_trials(job: Job) -> int:
    """Count the trials of the budget that have come to an end."""
    return job.progress.complete + job.progress.pruned + job.progress.failed


# --- a job ------------------------------------------------------------------------------------


def job_summary(job: Job) -> RenderableType:
    """Show a job in a few lines: the answer where there is one, else how far it is."""
    parts: list[RenderableType] = [_headline(job)]
    if job.error:
        parts.append(Text(job.error, style="red"))
    if job.recommended is not None:
        parts.append(_answer(job, job.recommended))
    elif job.best is not None:
        parts.append(_facts([_best_fact(job, job.best)]))
    notes = [*([strange] if (strange := _strange(job)) else []), *job.warnings]
    parts += [Text(f"Note: {note}", style="yellow") for note in notes]
    return Group(*parts)


def _headline(job: Job) -> Text:
    line = Text(_name(job), style="bold")
    line.append("   ").append(job.state, style=STATE_STYLE.get(job.state, ""))
    line.append(f"   {ended_trials(job)}/{job.progress.trials} trials", style="not bold")
    if job.progress.failed:
        line.append(f", {job.progress.failed} failed", style="not bold")
    if job.started_at is not None and job.finished_at is not None:
        seconds = (job.finished_at - job.started_at).total_seconds()
        speed = f", {ended_trials(job) / seconds:.1f} trials/s" if seconds > 0 else ""
        line.append(f" in {duration(seconds)}{speed}", style="not bold")
    elif not job.ended:
        line.append(f"   {_note(job)}", style="not bold")
    return line


def _answer(job: Job, answer: Recommended) -> RenderableType:
    facts = [
        _best_fact(job, answer.best),
        ("Recommended", Text(_params_phrase(answer.simplest.params), style="bold green")),
        ("", Text("the simplest within one standard error of the best", style="dim")),
    ]
    looks = "once" if answer.test.evaluations == 1 else f"{answer.test.evaluations} times"
    caption = f"test: {answer.test.rows} rows, sealed until the search was over, opened {looks}"
    return Group("", _facts(facts), "", _comparison(job, answer), Text(caption, style="dim"))


def _best_fact(job: Job, best: Best | Chosen) -> tuple[str, Text]:
    text = Text(f"{_objective(job)} {_value(best)}", style="bold")
    text.append(f"   trial {best.number}{_how_judged(job)}", style="not bold dim")
    return "Best trial", text


def _facts(rows: Iterable[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, text in rows:
        table.add_row(name, text)
    return table


def _comparison(job: Job, answer: Recommended) -> Table:
    """Show recommended, best, unpenalised and constant side by side."""
    test = answer.test
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    table.add_column("penalty")
    tested = OBJECTIVE_ROWS[test.metric].label
    for name in (f"{_objective(job)}, validation", f"{tested}, test", "loss, test"):
        table.add_column(name, justify="right")
    for name in ("nonzero weights", "features"):
        table.add_column(name, justify="right")
    rows: list[tuple[str, Chosen | None, float | None]] = [
        ("recommended", answer.simplest, test.simplest),
        ("best", answer.best, test.best),
        ("unpenalised", answer.none, test.none),
    ]
    for name, chosen, score in rows:
        loss = test.loss.get({"recommended": "simplest", "unpenalised": "none"}.get(name, name))
        if chosen is not None:
            table.add_row(name, *_chosen_cells(chosen, score, loss), style=_row_style(name))
    loss = number(test.loss.get("baseline"))
    table.add_row("constant", "", "", number(test.baseline), loss, "", "")
    return table


def _row_style(name: str) -> str:
    return "bold green" if name == "recommended" else ""


def _chosen_cells(chosen: Chosen, score: float | None, loss: float | None) -> list[str]:
    features = "" if chosen.selected_features is None else str(chosen.selected_features)
    nonzero = f"{chosen.refit_nonzero_weights} of {chosen.weights}"
    return [
        PENALTY.get(str(chosen.params.get("penalty")), str(chosen.params.get("penalty"))),
        _value(chosen),
        number(score),
        number(loss),
        "refit diverged" if chosen.refit_nonzero_weights is None else nonzero,
        features,
    ]


def _value(chosen: Best | Chosen) -> str:
    if chosen.standard_error is None:
        return number(chosen.value)
    return f"{number(chosen.value)} ± {number(chosen.standard_error)}"


def _params_phrase(params: Params) -> str:
    """Write the parameters of a trial in a line, the penalty first."""
    words = {"lambda": "λ", "l1_ratio": "L1 ratio"}
    penalty = str(params.get("penalty"))
    rest = [
        f"{words.get(name, name.replace('_', ' '))} {number(value)}"
        for name, value in params.items()
        if name != "penalty"
    ]
    return "   ".join([PENALTY.get(penalty, penalty), *rest])


# --- lists ------------------------------------------------------------------------------------


def job_table(jobs: Iterable[Job]) -> Table:
    """Show jobs, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("id", "name", "state", "trials", "best", "created"):
        table.add_column(name, no_wrap=name in ("id", "state"))
    for job in jobs:
        best = f"{_objective(job)} {number(job.best.value)}" if job.best else ""
        table.add_row(
            job.id,
            Text(_name(job)),
            Text(job.state, style=STATE_STYLE.get(job.state, "")),
            f"{ended_trials(job)}/{job.progress.trials}",
            best,
            moment(job.created_at),
        )
    return table


def trial_table(trials: Iterable[Trial]) -> Table:
    """Show trials, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("number", "state", "value", "nonzero weights", "params"):
        table.add_column(name, justify="left" if name in ("state", "params") else "right")
    for trial in trials:
        params = {name: _cell(value) for name, value in trial.params.items()}
        values = [number(trial.value), number(trial.nonzero_weights)]
        table.add_row(str(trial.number), trial.state, *values, Text(_params_phrase(params)))
    return table


def _cell(value: float | int | str | bool | None) -> float | str:
    """Return a parameter to show; a stock Optuna process may have put anything there."""
    return str(value) if value is None or isinstance(value, bool) else value


def front_table(front: Front) -> Table:
    """Show the trials of a Pareto front, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("number", *front.objectives):
        table.add_column(name.replace("_", " "), justify="right")
    table.add_column("params")
    for trial in front.trials:
        values = [number(value) for value in trial.values]
        table.add_row(str(trial.number), *values, _params_phrase(trial.params))
    return table
