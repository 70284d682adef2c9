"""The answer of a job as a person reads it: the verdict first, then the evidence for it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ridgeway.answers import LIBRARIES, Check, Chosen, Params, Recommended
from ridgeway.client.fitting import Column, FittingTable
from ridgeway.spec.losses import objective_label
from ridgeway.spec.names import OBJECTIVE_ROWS, Objective, penalty_row
from ridgeway.spec.spec import JobSpec, Rule
from ridgeway.spec.validation import HoldoutValidation
from ridgeway.views import Best, Job
from ridgeway.words import number

RULES: dict[Rule, str] = {
    "simplest": "the simplest that neither its value nor its folds tell from the best",
    "one_standard_error": "the simplest within one standard error of the best",
    "best": "the best value",
}


def answer_summary(job: Job, answer: Recommended) -> RenderableType:
    """Show the verdict, what is recommended, the models beside each other, and the checks."""
    facts = [best_fact(job, answer.best), *_recommended(job, answer)]
    looks = "once" if answer.test.evaluations == 1 else f"{answer.test.evaluations} times"
    caption = f"test: {answer.test.rows} rows, sealed until the search was over, opened {looks}"
    caption += "; nonzero weights: of the model that is kept, refitted on all other rows"
    if answer.test.interval is not None:
        low, high = answer.test.interval
        tested = OBJECTIVE_ROWS[answer.test.metric].label
        caption += f"; {tested} of the recommended 95 %: {number(low)} to {number(high)}"
    parts: list[RenderableType] = []
    if answer.verdict is not None:
        parts += ["", Text(answer.verdict.sentence, style="bold")]
    parts += ["", fact_table(facts), "", _comparison(job, answer), Text(caption, style="dim")]
    if answer.checks:
        parts += ["", Text("Checks that found something", style="bold")]
        parts += [_check(check) for check in answer.checks]
    return Group(*parts)


def _recommended(job: Job, answer: Recommended) -> list[tuple[str, Text]]:
    if answer.choice == "baseline":
        return [("Recommended", Text("the constant", style="bold green"))]
    chosen = answer.best if answer.choice == "best" else answer.simplest
    rule = job.spec.rule if isinstance(job.spec, JobSpec) else "simplest"
    return [
        ("Recommended", Text(params_phrase(chosen.params), style="bold green")),
        ("", Text(RULES[rule], style="dim")),
        *_elsewhere(chosen),
        *_debiased(job, answer),
    ]


def _debiased(job: Job, answer: Recommended) -> list[tuple[str, Text]]:
    """Tell what the kept model wins by having no penalty on the chosen columns."""
    told = answer.debias
    if told is None:
        return []
    text = f"{objective_of(job)} {number(told.debiased)}, penalised {number(told.penalised)}"
    if told.interval is not None:
        low, high = (number(end) for end in told.interval)
        text += f", better by {number(told.difference)} ({low} to {high})"
    tested = OBJECTIVE_ROWS[answer.test.metric].label
    sealed = f"{tested} {number(told.sealed_debiased)}, penalised {number(told.sealed_penalised)}"
    return [
        ("Debiased", Text(f"{text}, on fresh splits")),
        ("", Text(f"{sealed}, test; the kept model is the debiased one", style="dim")),
    ]


def _elsewhere(chosen: Chosen) -> list[tuple[str, Text]]:
    """Name the arguments by which other libraries fit the same model, a library a line."""
    lines = [
        f"{LIBRARIES.get(library, library)}: "
        + ", ".join(f"{name} {value:.6g}" for name, value in arguments.items())
        for library, arguments in (chosen.equivalents or {}).items()
    ]
    return [("" if place else "Elsewhere", Text(own)) for place, own in enumerate(lines)]


def _check(check: Check) -> Text:
    code, remedy = (f"  {check.code}  ", "yellow"), (f" {check.remedy}", "dim")
    return Text.assemble(code, check.sentence, remedy)


def best_fact(job: Job, best: Best | Chosen) -> tuple[str, Text]:
    """Return the name and the words of the best trial."""
    text = Text(f"{objective_of(job)} {value_of(best)}", style="bold")
    text.append(f"   trial {best.number}{_how_judged(job)}", style="not bold dim")
    return "Best trial", text


def fact_table(rows: Iterable[tuple[str, Text]]) -> Table:
    """Show facts, one a line, their names before them."""
    table = Table.grid(padding=(0, 2))
    for name, text in rows:
        table.add_row(name, text)
    return table


def _comparison(job: Job, answer: Recommended) -> FittingTable:
    """Show recommended, best, unpenalised, linear and constant side by side."""
    test = answer.test
    tested, loss = OBJECTIVE_ROWS[test.metric].label, named_objective(job, "loss")
    scores = (f"{objective_of(job)}, validation", f"{tested}, test", f"{loss}, test")
    table = FittingTable(
        [
            *(Column(name, words=True) for name in ("", "penalty")),
            *map(Column, (*scores, "nonzero weights", "features")),
        ]
    )
    rows: list[tuple[str, str, Chosen | None, float | None]] = [
        ("simplest", "simplest", answer.simplest, test.simplest),
        ("best", "best", answer.best, test.best),
        ("unpenalised", "none", answer.none, test.none),
    ]
    for name, role, chosen, score in rows:
        if chosen is None:
            continue
        is_choice = role == answer.choice
        shown, style = ("recommended", "bold green") if is_choice else (name, "")
        cells = _chosen_cells(chosen, score, test.loss.get(role))
        table.add_row(shown, *cells, style=style)
    if answer.linear is not None:
        own = _with_error(answer.linear.value, answer.linear.standard_error)
        scores = [number(test.linear), number(test.loss.get("linear"))]
        table.add_row("linear", "L2", own, *scores, "", str(answer.linear.features))
    own = _with_error(answer.baseline.validation, answer.baseline.standard_error)
    style = "bold green" if answer.choice == "baseline" else ""
    scores = [number(test.baseline), number(test.loss.get("baseline"))]
    table.add_row("constant", "", own, *scores, "", "", style=style)
    return table


def _chosen_cells(chosen: Chosen, score: float | None, loss: float | None) -> list[str]:
    features = "" if chosen.selected_features is None else str(chosen.selected_features)
    nonzero = f"{chosen.refit_nonzero_weights} of {chosen.weights}"
    return [
        penalty_row(str(chosen.params.get("penalty"))).label,
        value_of(chosen),
        number(score),
        number(loss),
        "refit diverged" if chosen.refit_nonzero_weights is None else nonzero,
        features,
    ]


def objective_of(job: Job) -> str:
    """Name what trials are judged by; of a spec that can't be read it is not known."""
    return named_objective(job, job.spec.objective) if isinstance(job.spec, JobSpec) else "value"


def named_objective(job: Job, objective: Objective) -> str:
    """Return an objective's name, that of a loss in words where the job names it."""
    if isinstance(job.spec, JobSpec) and job.spec.loss is not None and objective == "loss":
        return objective_label(objective, job.spec.loss_name)
    return objective


def value_of(chosen: Best | Chosen) -> str:
    """Write a value with its standard error."""
    return _with_error(chosen.value, chosen.standard_error)


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return ""
    return number(value) if error is None else f"{number(value)} ± {number(error)}"


def _how_judged(job: Job) -> str:
    if not isinstance(job.spec, JobSpec):
        return ""
    if not isinstance(job.spec.validation, HoldoutValidation):
        return f", mean ± standard error of {job.spec.folds} folds"
    return ", ± standard error over the validation rows"


def params_phrase(params: Params) -> str:
    """Write the parameters of a trial in a line, the penalty first."""
    words = {"lambda": "λ", "l1_ratio": "L1 ratio"}
    penalty = str(params.get("penalty"))
    rest = [
        f"{words.get(name, name.replace('_', ' '))} {number(value)}"
        for name, value in params.items()
        if name != "penalty"
    ]
    return "   ".join([penalty_row(penalty).label, *rest])
