"""What must hold of a job after any fault: nothing lost, nothing counted twice, one answer."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts as artifact_table
from ridgeway.database.tables import deleted_jobs, ranked_trials
from ridgeway.database.tables import jobs as job_table
from ridgeway.database.tables import leases as lease_table
from ridgeway.jobs import lookups
from ridgeway.jobs.deletion import HIDDEN
from ridgeway.spec.directions import as_loss
from ridgeway.study.optuna_tables import of_studies, of_trials, studies, trials
from ridgeway.views import Job

TRIALS = sa.text(
    "SELECT t.trial_id, t.number, t.state, v.value FROM trials t "
    "LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 "
    "WHERE t.study_id = :study ORDER BY t.number"
)
STRENGTHS = sa.text(
    "SELECT p.trial_id, p.param_value FROM trial_params p JOIN trials t "
    "ON t.trial_id = p.trial_id WHERE t.study_id = :study AND p.param_name = 'lambda'"
)


def objective(strength: float) -> float | None:
    """A value that the parameter alone decides; None for the one in sixteen that diverges."""
    digest = hashlib.sha256(strength.hex().encode()).digest()
    return None if digest[0] < 16 else int.from_bytes(digest[1:7], "big") / 2**48


def pruned(strength: float) -> bool:
    """Whether a trial of this strength is pruned: one in sixteen."""
    return hashlib.sha256(strength.hex().encode()).digest()[0] >= 240


@dataclass(frozen=True)
class Study:
    """The trials of a job as the tables hold them, in the order of numbers."""

    numbers: list[int]
    states: list[str]
    values: list[float | None]
    strengths: list[float | None]

    @classmethod
    def read(cls, database: Database, job_id: str) -> Study:
        with database.reading() as transaction:
            query = sa.select(job_table.c.study_id).where(job_table.c.id == job_id)
            study = {"study": transaction.execute(query).scalar_one()}
            rows = transaction.execute(TRIALS, study).all()
            strengths = {row[0]: row[1] for row in transaction.execute(STRENGTHS, study)}
        return cls(
            [row.number for row in rows],
            [row.state for row in rows],
            [row.value for row in rows],
            [strengths.get(row.trial_id) for row in rows],
        )


def check(
    database: Database,
    job_id: str,
    *,
    expected: Callable[[float], float | None] | None = None,
    state: str = "succeeded",
    extended: bool = False,
    ended_early: bool = False,
) -> Job:
    """Assert every invariant of an ended job; the job.

    `expected`: what each trial's value must be, told from its strength. `extended`: it may have
    been, so that answers were withdrawn, or given more than once. `ended_early`: it may be answered
    from less than its budget.
    """
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
    assert job.state == state, job.error
    study = Study.read(database, job_id)
    _check_trials(job, study, ended_early)
    answers = _check_leases(database, job)
    if expected is not None:
        for number, strength, value in zip(
            study.numbers, study.strengths, study.values, strict=True
        ):
            if study.states[number] in ("COMPLETE", "PRUNED"):
                assert strength is not None
                assert value == expected(strength), f"trial {number}"
    if state == "succeeded":
        assert job.recommended is not None
        assert job.recommended.test.evaluations == answers.count("done")
        assert extended or answers == ["done"]
    return job


def handed_out(transaction: Connection, job_id: str) -> int:
    """How often the job has handed out a lease, to its first holder or the next: it only grows."""
    query = sa.select(sa.func.coalesce(sa.func.sum(lease_table.c.fence), 0))
    return transaction.execute(query.where(lease_table.c.job_id == job_id)).scalar_one()


def check_deleted(database: Database, job_ids: Sequence[str]) -> None:
    """Assert that no row is left of deleted jobs, and of no study or trial a part."""
    names = [name for job_id in job_ids for name in (job_id, HIDDEN + job_id)]
    with database.reading() as transaction:

        def rows(table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
            query = sa.select(sa.func.count()).select_from(table).where(condition)
            return transaction.execute(query).scalar_one()

        assert not rows(job_table, job_table.c.id.in_(job_ids))
        for table in (lease_table, artifact_table, deleted_jobs):
            assert not rows(table, table.c.job_id.in_(job_ids)), table.name
        assert not rows(studies, studies.c.study_name.in_(names))
        for table in (*of_studies, trials):
            assert not rows(table, table.c.study_id.not_in(sa.select(studies.c.study_id)))
        for table in (*of_trials, ranked_trials):
            assert not rows(table, table.c.trial_id.not_in(sa.select(trials.c.trial_id)))


def _check_trials(job: Job, study: Study, ended_early: bool) -> None:
    progress, counted = job.progress, Counter(study.states)
    if job.state == "succeeded" and not ended_early:
        assert study.numbers == list(range(progress.trials))
        assert progress.complete + progress.pruned + progress.failed == progress.trials
    else:
        assert study.numbers == list(range(len(study.numbers)))
    assert progress.running == 0
    assert set(counted) <= {"COMPLETE", "PRUNED", "FAIL"}, counted
    assert (progress.complete, progress.pruned, progress.failed) == (
        counted["COMPLETE"],
        counted["PRUNED"],
        counted["FAIL"],
    )
    for trial_state, value in zip(study.states, study.values, strict=True):
        assert trial_state != "COMPLETE" or (value is not None and math.isfinite(value))
    complete = [
        (as_loss(value, job.spec.maximise), number)
        for number, trial_state, value in zip(
            study.numbers, study.states, study.values, strict=True
        )
        if trial_state == "COMPLETE" and value is not None
    ]
    if complete:
        assert job.best is not None
        assert job.best.number == min(complete)[1]
        assert job.best.value == study.values[job.best.number]


def _check_leases(database: Database, job: Job) -> list[str]:
    """None is live, and they share the trials out among them; the states of the answers."""
    with database.reading() as transaction:
        rows = transaction.execute(
            sa.select(lease_table).where(lease_table.c.job_id == job.id)
        ).all()
    assert {row.state for row in rows} <= {"done", "cancelled"}
    held = [n for row in rows if row.first_number is not None for n in _numbers(row)]
    with_trials = job.progress.complete + job.progress.pruned + job.progress.failed
    assert sorted(held) == list(range(with_trials))
    answers = [row.state for row in rows if row.kind == "answer"]
    assert job.state != "succeeded" or "done" in answers
    return answers


def _numbers(row: Any) -> range:
    return range(row.first_number, row.first_number + row.size)


@dataclass
class Watch:
    """What a client sees of a job in the course of time never goes back."""

    database: Database
    job_id: str
    seen: list[Mapping[str, Any]] = field(default_factory=list)

    def look(self) -> Job:
        """The job as it is now."""
        with self.database.reading() as transaction:
            job = lookups.find_job(transaction, self.job_id)
        ended = job.progress.complete + job.progress.pruned + job.progress.failed
        best = job.best.value if job.best else None
        if self.seen:
            before = self.seen[-1]
            assert ended >= before["ended"]
            assert before["best"] is None or (best is not None and best <= before["best"])
        self.seen.append({"ended": ended, "best": best})
        return job
