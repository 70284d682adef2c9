"""What a store that answers can't read is tried again after growing pauses, and not for ever."""

from __future__ import annotations

from submitting import submit

from ridgeway.database.clock import current_time
from ridgeway.database.engine import Database
from ridgeway.database.tables import leases
from ridgeway.jobs import claiming, holding, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease, update_lease
from ridgeway.jobs.putting_off import FIRST_SECONDS, LONGEST_SECONDS, REMEDY, put_off
from ridgeway.jobs.sizes import Sizes
from ridgeway.views import Job

WHY = "Data set 'mill': The store can't read 'datasets/a': Permission denied."
MODELS, DATASETS = frozenset({"mlp", "linear"}), frozenset({"digits"})


def claimant(worker: str = "w-1") -> Claimant:
    return Claimant(worker, MODELS, DATASETS, Sizes(4, 64), 30.0, 5)


def claim(database: Database, who: Claimant) -> Lease:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, who)
    assert lease is not None
    return lease


def put(database: Database, lease: Lease) -> float | None:
    with database.transaction() as transaction:
        return put_off(transaction, lease, WHY, max_attempts=3)


def find(database: Database, job_id: str) -> Job:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id)


def has_passed(database: Database, lease: Lease) -> None:
    with database.transaction() as transaction:
        update_lease(transaction, lease.id, expires_at=current_time(transaction))


def test_pauses_grow_and_after_the_last_attempt_the_job_fails_and_says_what_to_do(database):
    job_id = submit(database, trials=20)
    lease = claim(database, claimant())
    for attempt in range(2):
        with database.transaction() as transaction:
            holding.reserve(transaction, lease, [{}] * lease.size, {})
        assert put(database, lease) == FIRST_SECONDS * 2**attempt
        other = claim(database, claimant("w-2"))
        assert other.id != lease.id, "put off for everybody"
        with database.transaction() as transaction:
            holding.release(transaction, other)
        has_passed(database, lease)
        held, lease = lease, claim(database, claimant())
        assert (held.id, held.size) == (lease.id, lease.size), "trials are not to blame: no split"
    told = find(database, job_id).warnings
    assert [WHY in each for each in told].count(True) == 1
    assert put(database, lease) is None
    job = find(database, job_id)
    assert job.state == "failed"
    assert job.error == f"{WHY} The job was given up after 3 attempts. {REMEDY}"


def test_while_another_worker_trains_the_job_no_attempt_is_spent(database):
    job_id = submit(database, trials=100)
    able = claim(database, claimant("w-2"))
    with database.transaction() as transaction:
        holding.renew(transaction, able, 30.0, 0.5)
    for _ in range(4):
        assert put(database, claim(database, claimant())) == LONGEST_SECONDS
    assert find(database, job_id).state == "running"
    with database.reading() as transaction:
        attempts = transaction.execute(leases.select().order_by(leases.c.id)).all()
    assert [lease.attempts for lease in attempts] == [1, 0]


def test_a_worker_leaves_a_job_for_as_long_and_no_other(database):
    refused = submit(database)
    who = claimant()
    who.known.leave_for(refused, 60.0)
    with database.reading() as transaction:
        assert not claiming.has_work(transaction, who)
    able = submit(database)
    assert claim(database, who).job_id == able
    who.known.leave_for(refused, 0.0)
    assert who.known.left() == set()
