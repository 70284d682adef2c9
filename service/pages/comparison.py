"""/compare: two jobs or more side by side, what they asked for differently first."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import JsonValue

from ridgeway.answers import Chosen, Recommended
from ridgeway.errors import InvalidInput, NotFound
from ridgeway.jobs.lookups import find_job
from ridgeway.keys.caller import Caller
from ridgeway.report.verdict import chosen_of, named
from ridgeway.spec.names import OBJECTIVE_ROWS, UNPENALISED
from ridgeway.views import Job
from ridgeway.words import duration, number
from service.access.asking import InCaller
from service.context import Context, InContext
from service.pages.environment import page
from service.pages.routing import page_router
from service.pages.wording import judged_by, name_of

FEWEST, MOST = 2, 8
WORDS = {"l1_ratio": "L1 ratio", "learning_rate": "Learning rate", "weight_decay": "Weight decay"}
NAMED = ("penalty", "lambda")  # in the line of what is recommended

router = page_router()


@dataclass(frozen=True)
class Row:
    """A line of the comparison: what, and a cell for each job."""

    name: str
    cells: Sequence[str]
    penalties: Sequence[str | None] = ()  # whose colours the cells have


@router.get("/compare")
def compare(
    request: Request,
    context: InContext,
    caller: InCaller,
    job: Annotated[list[str], Query()] = [],  # noqa: B006
) -> Response:
    """Show jobs side by side."""
    jobs = _found(context, caller, job)
    return page(
        request,
        "compare.html.jinja",
        jobs=jobs,
        names=[name_of(each) for each in jobs],
        differences=differences(
            [each.spec.model_dump(mode="json", by_alias=True) for each in jobs]
        ),
        outcomes=outcomes(jobs),
    )


def _found(context: Context, caller: Caller, ids: Sequence[str]) -> list[Job]:
    wanted = list(dict.fromkeys(ids))
    if not FEWEST <= len(wanted) <= MOST:
        message = f"must name {FEWEST} to {MOST} jobs: tick them in the list"
        raise InvalidInput.of("job", len(wanted), message)
    if strange := next((own for own in wanted if len(own) > 36 or "\0" in own), None):
        raise NotFound(f"There is no job {strange[:100]!r}.")
    with context.database.reading() as transaction:
        return [find_job(transaction, own, caller) for own in wanted]


# --- what they asked for ----------------------------------------------------------------------


def differences(specs: Sequence[Any]) -> list[Row]:
    """Return the fields in which specs differ, by their dotted names; objects field by field.

    What is empty in one, and absent from the other, is no difference.
    """
    flat = [dict(_flat("", spec)) for spec in specs]
    names = dict.fromkeys(name for fields in flat for name in fields if name != "name")
    rows = [Row(name, [_shown(fields.get(name)) for fields in flat]) for name in names]
    return [row for row in rows if len(set(row.cells)) > 1]


def _flat(prefix: str, value: JsonValue) -> list[tuple[str, JsonValue]]:
    if not isinstance(value, dict) or not value or {*value} <= {"low", "high", "log"}:
        return [(prefix or "spec", value)] if value or not isinstance(value, dict) else []
    return [
        found
        for name, own in value.items()
        for found in _flat(f"{prefix}.{name}" if prefix else name, own)
    ]


def _shown(value: JsonValue) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict) and (ends := _ends(value)) is not None:
        return f"{ends[0]:g} to {ends[1]:g}" + (", logarithmic" if value.get("log") else "")
    if isinstance(value, list) and all(isinstance(own, str) for own in value):
        return ", ".join(map(str, value)) or "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ends(value: Mapping[str, JsonValue]) -> tuple[float, float] | None:
    """Return the ends of a range; None for what is none, or none that can be read."""
    low, high = value.get("low"), value.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float):
        return float(low), float(high)
    return None


# --- what came of it --------------------------------------------------------------------------


def outcomes(jobs: Sequence[Job]) -> list[Row]:
    """Return what the jobs have found, a line for each number; lines that none has are left out."""
    rows = [
        Row("State", [job.state for job in jobs]),
        Row("Recommended", [_of(job, _named) for job in jobs], [_penalty(job) for job in jobs]),
        Row("Judged by", [judged_by(job) for job in jobs]),
        Row("Value ± standard error", [_of(job, _value) for job in jobs]),
        Row("Score on the sealed rows", [_of(job, _sealed) for job in jobs]),
        Row("Features used", [_of(job, _features) for job in jobs]),
        Row("Weights that are not zero", [_of(job, _nonzero) for job in jobs]),
        *(
            Row(WORDS.get(name, name), [_of(job, _parameter(name)) for job in jobs])
            for name in _parameters(jobs)
        ),
        Row("Best value so far", [_best(job) for job in jobs]),
        Row(
            "Trials done", [f"{job.progress.complete:,} of {job.progress.trials:,}" for job in jobs]
        ),
        Row("Took", [_took(job) for job in jobs]),
    ]
    return [row for row in rows if any(row.cells)]


def _of(job: Job, told: Callable[[Recommended, Chosen | None], str]) -> str:
    answer = job.recommended
    return "" if answer is None else told(answer, chosen_of(answer))


def _named(answer: Recommended, chosen: Chosen | None) -> str:
    return named(chosen)


def _value(answer: Recommended, chosen: Chosen | None) -> str:
    base = answer.baseline
    value = base.validation if chosen is None else chosen.value
    error = base.standard_error if chosen is None else chosen.standard_error
    return number(value) + ("" if error is None else f" ± {number(error)}")


def _sealed(answer: Recommended, chosen: Chosen | None) -> str:
    test = answer.test
    score = {"simplest": test.simplest, "best": test.best, "baseline": test.baseline}
    return f"{OBJECTIVE_ROWS[test.metric].label} {number(score[answer.choice])}"


def _features(answer: Recommended, chosen: Chosen | None) -> str:
    if chosen is None or chosen.selected_features is None:
        return ""
    return f"{chosen.selected_features:,}"


def _nonzero(answer: Recommended, chosen: Chosen | None) -> str:
    if chosen is None or chosen.refit_nonzero_weights is None:
        return ""
    return f"{chosen.refit_nonzero_weights:,} of {chosen.weights:,}"


def _parameters(jobs: Sequence[Job]) -> list[str]:
    """Return the parameters that recommended trials have beside their penalty."""
    answers = (job.recommended for job in jobs if job.recommended is not None)
    chosen = [own for answer in answers if (own := chosen_of(answer)) is not None]
    names = dict.fromkeys(name for own in chosen for name in own.params)
    return [name for name in names if name not in NAMED]


def _parameter(name: str) -> Callable[[Recommended, Chosen | None], str]:
    return lambda _, chosen: number(chosen.params[name]) if chosen and name in chosen.params else ""


def _penalty(job: Job) -> str | None:
    chosen = None if job.recommended is None else chosen_of(job.recommended)
    return None if chosen is None else str(chosen.params.get("penalty", UNPENALISED))


def _best(job: Job) -> str:
    if job.recommended is not None or job.best is None:
        return ""
    return number(job.best.value)


def _took(job: Job) -> str:
    if job.started_at is None or job.finished_at is None:
        return ""
    return duration((job.finished_at - job.started_at).total_seconds())
