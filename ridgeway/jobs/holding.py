"""Writes under a lease: renew, reserve, report, finish, fail, release."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Row

from ridgeway.answers import Params, Recommended
from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import leases
from ridgeway.errors import LeaseLost, Unreadable
from ridgeway.fleet import mark_gone
from ridgeway.jobs.accounts import end_lease
from ridgeway.jobs.artifacts import Artifact, replace_artifacts
from ridgeway.jobs.leases import OPEN_LEASE, THE_LEASE, Lease, update_lease
from ridgeway.jobs.lifecycle import (
    SEARCH_ENDED,
    close_search,
    end_as_failed,
    end_if_hopeless,
    withdraw_leases,
)
from ridgeway.jobs.noting import note_answer
from ridgeway.jobs.own_trials import best_own_trial
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.rows import lock_job, tell_job, update_job
from ridgeway.jobs.stored import read_best, read_plan
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import OBJECTIVE_ROWS
from ridgeway.study import reading, writing
from ridgeway.study.facts import TrialFacts
from ridgeway.study.reading import StudyTrial
from ridgeway.study.writing import Outcome
from ridgeway.views import ENDED, Best


def renew(
    transaction: Connection, lease: Lease, lease_seconds: float, share: float | None = None
) -> None:
    """Hold the lease for another while; LeaseLost if it is no longer ours.

    share: how much of its training is done, from 0 to 1; None leaves what was known.
    """
    known = {} if share is None else {"share": share, "told_at": now()}
    renewed = transaction.execute(
        sa.update(leases).where(_ours(lease)).values(expires_at=now() + lease_seconds, **known)
    )
    if renewed.rowcount == 0:
        raise LeaseLost()


def require_ours(transaction: Connection, lease: Lease) -> None:
    """Raise LeaseLost unless the lease is still ours; it reads alone."""
    if transaction.execute(sa.select(leases.c.id).where(_ours(lease))).first() is None:
        raise LeaseLost()


def fix_plan(
    transaction: Connection, lease: Lease, plan: JobPlan, warnings: Sequence[str] = ()
) -> JobPlan:
    """Record what the job's first worker found out; return the plan in force, the first one set."""
    row, _ = require_held(transaction, lease)
    if (there := read_plan(row.plan)) is not None:
        return there
    begun = current_time(transaction)
    told = with_warnings(row.warnings, warnings)
    update_job(transaction, row.id, plan=plan.kept(), warnings=told, trained_from=begun)
    return plan


def reserve(
    transaction: Connection,
    lease: Lease,
    params: Sequence[Params],
    distributions: Mapping[str, BaseDistribution],
) -> int:
    """Write the population's trials as RUNNING, tie them to the lease, return the first number.

    Repeated by the same holder, whose commit's reply was lost, it gives the number it gave before.
    """
    row, held = require_held(transaction, lease)
    if held.first_number is not None:
        return int(held.first_number)
    first = writing.reserve_trials(transaction, lease.study_id, params, distributions)
    update_lease(transaction, lease.id, first_number=first)
    update_job(transaction, row.id, running=row.running + len(params))
    return first


def report(transaction: Connection, lease: Lease, curves: Mapping[int, Sequence[float]]) -> None:
    """Write what the population's running trials have reached so far, by number."""
    require_held(transaction, lease)
    writing.report_trials(transaction, lease.study_id, curves)


def record_checkpoint(transaction: Connection, lease: Lease, address: str) -> str | None:
    """Record where the next holder would go on; return the address of the checkpoint before.

    Whoever came as far has not been killed by its trials: attempts are counted anew. LeaseLost if
    the lease is no longer ours.
    """
    ours = sa.select(leases).where(_ours(lease)).with_for_update()
    row = transaction.execute(ours).one_or_none()
    if row is None:
        raise LeaseLost()
    transaction.execute(
        sa.update(leases).where(leases.c.id == row.id).values(checkpoint=address, attempts=1)
    )
    return row.checkpoint


def forget_checkpoint(transaction: Connection, lease: Lease) -> str | None:
    """Forget the checkpoint of a lease that has ended; return its address, to be deleted."""
    ended = _same(lease) & leases.c.state.not_in(OPEN_LEASE)
    address = transaction.execute(
        sa.select(leases.c.checkpoint).where(ended).with_for_update()
    ).scalar_one_or_none()
    if address is not None:
        transaction.execute(
            sa.update(leases).where(leases.c.id == lease.id).values(checkpoint=None)
        )
    return address


def finish_population(
    transaction: Connection,
    lease: Lease,
    outcomes: Sequence[Outcome],
    warnings: Sequence[str] = (),
) -> None:
    """Write every outcome, count it, and end the lease. Repeated by the same holder, a no-op."""
    row, held = require_held(transaction, lease, also_done=True)
    if held.state == "done":
        return
    finished = writing.finish_trials(transaction, lease.study_id, outcomes)
    counted = [outcome for outcome in outcomes if outcome.number in finished]
    states = Counter(outcome.state for outcome in counted)
    complete = [outcome for outcome in counted if outcome.state == TrialState.COMPLETE]
    tell_job(
        transaction,
        row.id,
        complete=row.complete + states[TrialState.COMPLETE],
        pruned=row.pruned + states[TrialState.PRUNED],
        failed=row.failed + states[TrialState.FAIL],
        running=row.running - len(counted),
        best=_better(transaction, row, lease, complete),
        warnings=with_warnings(row.warnings, warnings),
    )
    end_lease(transaction, row, held)
    if not row.complete and not complete:
        end_if_hopeless(transaction, row.id)


def finish_answer(
    transaction: Connection,
    lease: Lease,
    recommended: Recommended,
    kept: Mapping[str, Artifact],
    warnings: Sequence[str] = (),
) -> None:
    """Write the answer, its files and `succeeded` at once. Repeated by the same holder, a no-op.

    The looks at the sealed test set are counted here, as an answer that nobody sees is no look.
    """
    row, held = require_held(transaction, lease, also_done=True)
    if held.state == "done":
        return
    finished = current_time(transaction)
    replace_artifacts(transaction, row.id, kept, finished)
    update_job(
        transaction,
        row.id,
        state="succeeded",
        recommended=_counted(recommended, row.evaluations + 1),
        evaluations=row.evaluations + 1,
        warnings=with_warnings(row.warnings, warnings),
        finished_at=finished,
    )
    note_answer(transaction, row, recommended)
    end_lease(transaction, row, held)


def _counted(recommended: Recommended, evaluations: int) -> dict[str, Any]:
    test = recommended.test.model_copy(update={"evaluations": evaluations})
    return recommended.model_copy(update={"test": test}).model_dump(mode="json")


def end_search(transaction: Connection, lease: Lease, message: str) -> bool:
    """End the search, this lease with it; the job is answered from the trials that have ended.

    False for a paused job: only its owner resumes it.
    """
    row, _ = require_held(transaction, lease)
    if row.state != "running":
        return False
    close_search(transaction, row, SEARCH_ENDED, message)
    return True


def fail_job(transaction: Connection, lease: Lease, message: str) -> None:
    """End a job that can't be trained at all, with a message to act on."""
    row, _ = require_held(transaction, lease)
    failed = withdraw_leases(transaction, row, "the job failed")
    end_as_failed(transaction, row, message, failed)


def release(transaction: Connection, lease: Lease) -> None:
    """Hand the lease back before its time; that costs no attempt."""
    transaction.execute(
        sa.update(leases)
        .where(_ours(lease))
        .values(state="released", attempts=leases.c.attempts - 1, expires_at=now())
    )


def expire_leases(transaction: Connection, worker_id: str | None = None) -> int:
    """Expire the running leases of a worker known to be dead, or all; return how many."""
    query = sa.update(leases).where(leases.c.state == "running").values(state="expired")
    if worker_id is not None:
        query = query.where(leases.c.worker_id == worker_id)
    mark_gone(transaction, worker_id)
    return transaction.execute(query).rowcount


def lose_worker(
    transaction: Connection,
    worker_id: str,
    because: str | None = None,
    lease_id: int | None = None,
) -> None:
    """Take a dead worker's leases back; tell its job why it was lost, where that is known.

    lease_id: of the lease that it worked on, which may have been withdrawn or be another's by now.
    """
    if because is not None:
        _tell(transaction, worker_id, because, lease_id)
    expire_leases(transaction, worker_id)


def _tell(transaction: Connection, worker_id: str, because: str, lease_id: int | None) -> None:
    own = (leases.c.worker_id == worker_id) & (leases.c.state == "running")
    lost = sa.select(leases).where(own | (leases.c.id == lease_id)).where(leases.c.state != "done")
    for lease in transaction.execute(lost).all():
        row = lock_job(transaction, lease.job_id)
        if row.state != "cancelled":  # nobody waits for it
            warning = f"a worker was lost because {because}"
            update_job(transaction, row.id, warnings=with_warnings(row.warnings, [warning]))
            update_lease(transaction, lease.id, lost_because=because)


def trials_before(transaction: Connection, lease: Lease) -> int:
    """Return how many of the job's trials come before a population that is not reserved yet.

    The parts of a split population have negative ordinals, and the whole one's time of creation.
    One that was withdrawn before it was reserved has no trials.
    """
    created = sa.select(leases.c.created_at).where(leases.c.id == lease.id).scalar_subquery()
    part_of_earlier = (leases.c.ordinal < 0) & (leases.c.created_at <= created)
    query = sa.select(sa.func.coalesce(sa.func.sum(leases.c.size), 0)).where(
        leases.c.job_id == lease.job_id,
        leases.c.kind == "population",
        leases.c.ordinal.between(0, lease.ordinal - 1) | part_of_earlier,
        leases.c.first_number.is_not(None) | (leases.c.state != "cancelled"),
    )
    return int(transaction.execute(query).scalar_one())


def _ours(lease: Lease) -> sa.ColumnElement[bool]:
    """Select the lease's row, as long as it runs under the fence that we hold."""
    return _same(lease) & (leases.c.fence == lease.fence) & (leases.c.state == "running")


def _same(lease: Lease) -> sa.ColumnElement[bool]:
    """Select the lease's row; SQLite gives the id of a deleted job's lease again."""
    return (leases.c.id == lease.id) & (leases.c.job_id == lease.job_id)


def require_held(
    transaction: Connection, lease: Lease, also_done: bool = False
) -> tuple[Row[Any], Row[Any]]:
    """Lock the rows of the lease's job and of the lease; LeaseLost unless it is still ours.

    also_done: accept it too where this very holder has finished it and lost the commit's reply.
    """
    row = lock_job(transaction, lease.job_id)
    held = transaction.execute(_HELD_LEASE, {"lease": lease.id}).one_or_none()
    if held is None or held.fence != lease.fence:
        raise LeaseLost()
    finished = also_done and held.state == "done"
    if not finished and (held.state != "running" or row.state in ENDED):
        raise LeaseLost()
    return row, held


def _better(
    transaction: Connection, row: Row[Any], lease: Lease, complete: Sequence[Outcome]
) -> dict[str, Any] | None:
    """Return the best of the job so far and of these outcomes, as JSON."""
    if not complete:
        return row.best
    try:
        so_far = read_best(row.best)
    except Unreadable:  # another release's: the study tells it anew, these outcomes included
        return _best_of_all(transaction, row)
    maximise = OBJECTIVE_ROWS[row.spec["objective"]].maximised

    def rank(value: float, number: int) -> tuple[float, int]:
        return as_loss(value, maximise), number

    first = min(complete, key=lambda outcome: rank(cast("float", outcome.value), outcome.number))
    value = cast("float", first.value)
    if so_far is not None and rank(so_far.value, so_far.number) < rank(value, first.number):
        return row.best
    (trial,) = reading.trials_in(transaction, lease.study_id, first.number, 1)
    return _as_best(trial, value, first.facts)


def _best_of_all(transaction: Connection, row: Row[Any]) -> dict[str, Any] | None:
    """Return the best of the job's own complete trials as the study has them, as JSON."""
    trial = best_own_trial(transaction, row.id, row.study_id)
    return None if trial is None else _as_best(trial, cast("float", trial.value), trial.facts)


def _as_best(trial: StudyTrial, value: float, facts: TrialFacts) -> dict[str, Any]:
    """Return a complete trial as the best one, as JSON."""
    return Best(
        number=trial.number,
        value=value,
        standard_error=facts.standard_error,
        params=trial.params,
        nonzero_weights=cast("float", facts.nonzero_weights),
        weights=cast("int", facts.weights),
    ).model_dump(mode="json")


def with_warnings(told: Sequence[str], warnings: Sequence[str]) -> list[str]:
    """Return the job's warnings with those that it has not told yet."""
    return [*told, *(w for w in dict.fromkeys(warnings) if w not in told)]


_HELD_LEASE = sa.select(leases).where(THE_LEASE).with_for_update()
