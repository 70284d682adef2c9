"""What is drawn of a job, read out of the database and the store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from optuna.distributions import BaseDistribution, distribution_to_json
from pydantic import BaseModel, ValidationError
from sqlalchemy.engine import Connection

from ridgeway.answers import Recommended
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import NotFound, Unreadable
from ridgeway.features import Features
from ridgeway.jobs import artifacts
from ridgeway.jobs.lookups import find_job, study_of
from ridgeway.jobs.own_trials import only_own, own_numbers
from ridgeway.paths import RegularisationPath
from ridgeway.plots.evidence import Evidence, Trials
from ridgeway.shown import Shown
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial, every_nth_trial
from ridgeway.views import Best, Job, TrialState

MOST_TRIALS = 5000  # that are read, and those which the answer names

_Kept = TypeVar("_Kept", bound=BaseModel)


def read_evidence(database: Database, store: Store, job_id: str) -> Evidence:
    """Gather what is drawn of a job, with at most some 5,000 of its trials.

    NotFound where there is no such job, Unreadable where another release wrote its spec or files.
    """
    with database.reading() as transaction:
        job = find_job(transaction, job_id)
        spec = _spec(job)
        named = _named(job.recommended, job.best)
        nth, there_are, trials = _trials(transaction, job_id, named)
        kept = _artifacts(transaction, job_id)
    return _evidence(store, job, spec, kept, columns_of(trials, there_are, nth))


def read_told(database: Database, store: Store, job_id: str) -> Evidence:
    """Gather what is told of a job in words and tables, without its trials: quick at any size.

    Errors are those of `read_evidence`.
    """
    with database.reading() as transaction:
        job = find_job(transaction, job_id)
        spec, kept = _spec(job), _artifacts(transaction, job_id)
    return _evidence(store, job, spec, kept, columns_of([], job.progress.complete))


def _spec(job: Job) -> JobSpec:
    if isinstance(job.spec, JobSpec):
        return job.spec
    raise Unreadable(job.unreadable or f"This release can't read job {job.id}'s spec.")


def _evidence(
    store: Store, job: Job, spec: JobSpec, kept: Mapping[str, artifacts.Artifact], trials: Trials
) -> Evidence:
    return Evidence(
        job=job,
        spec=spec,
        answer=job.recommended,
        path=_read(store, kept, artifacts.PATH, RegularisationPath),
        features=_read(store, kept, artifacts.FEATURES, Features),
        shown=_read(store, kept, artifacts.SHOWN, Shown),
        trials=trials,
    )


def columns_of(trials: Sequence[StudyTrial], there_are: int, nth: int = 1) -> Trials:
    """Turn trials into columns; values that are not finite count as none."""
    names = {name: None for trial in trials for name in trial.params}  # in order, each once
    others = [name for name in names if name not in ("penalty", "lambda")]
    facts = [trial.facts for trial in trials]
    return Trials(
        number=tuple(trial.number for trial in trials),
        state=tuple(cast("TrialState", trial.state.name.lower()) for trial in trials),
        value=tuple(_finite(trial.value) for trial in trials),
        standard_error=tuple(_finite(fact.standard_error) for fact in facts),
        penalty=tuple(_text(trial.params.get("penalty")) for trial in trials),
        strength=tuple(_finite(trial.params.get("lambda")) for trial in trials),
        nonzero_share=tuple(_share(fact.nonzero_weights, fact.weights) for fact in facts),
        features=tuple(_finite(fact.features) for fact in facts),
        params={name: tuple(trial.params.get(name) for trial in trials) for name in others},
        distributions=_distributions(trials),
        there_are=there_are,
        every=nth,
    )


def _trials(
    transaction: Connection, job_id: str, named: Sequence[int]
) -> tuple[int, int, list[StudyTrial]]:
    """Return every which trial is read, how many own ones there are, and those that are read."""
    own = own_numbers(transaction, job_id)
    nth = max(1, math.ceil(len(own) / MOST_TRIALS))
    found = every_nth_trial(transaction, study_of(transaction, job_id), nth, named)
    return nth, len(own), only_own(found, own)


def _named(answer: Recommended | None, best: Best | None) -> list[int]:
    """Return the numbers of the trials that the answer names, and of the best."""
    numbers = [best.number] if best else []
    if answer is not None:
        chosen = (answer.simplest, answer.best, answer.none)
        numbers += [role.number for role in chosen if role is not None]
        numbers += [row.number for row in answer.penalties if row.number is not None]
    return sorted(set(numbers))


def _artifacts(transaction: Connection, job_id: str) -> dict[str, artifacts.Artifact]:
    """Return those of the files that there are, by name."""
    found: dict[str, artifacts.Artifact] = {}
    for name in (artifacts.PATH, artifacts.FEATURES, artifacts.SHOWN):
        try:
            found[name] = artifacts.find_artifact(transaction, job_id, name)
        except NotFound:
            continue
    return found


def _read(
    store: Store, kept: Mapping[str, artifacts.Artifact], name: str, kind: type[_Kept]
) -> _Kept | None:
    if name not in kept:
        return None
    file = kept[name]
    try:
        return kind.model_validate_json(store.get(file.address, file.checksum))
    except ValidationError:
        raise Unreadable(f"This release can't read the job's {name}.") from None


def _distributions(trials: Sequence[StudyTrial]) -> dict[str, str]:
    """Return each parameter's distribution: a job's own trials have the same."""
    found: dict[str, BaseDistribution] = {}
    for trial in trials:
        found = {**trial.distributions, **found}
    return {name: distribution_to_json(own) for name, own in found.items()}


def _finite(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _share(nonzero: float | None, weights: int | None) -> float | None:
    return nonzero / weights if nonzero is not None and weights else None
