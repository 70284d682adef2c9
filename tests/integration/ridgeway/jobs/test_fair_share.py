"""Workers that claim at once share their time among keys and jobs, on both databases."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa
from simulated import SPACE, outcome_of
from submitting import submit

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import accounts, api_keys
from ridgeway.database.tables import jobs as job_table
from ridgeway.database.tables import leases as lease_table
from ridgeway.jobs import claiming, fairness, holding, lifecycle
from ridgeway.jobs.claimant import Claimant, KnownJobs
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.rows import lock_job
from ridgeway.jobs.sizes import Sizes

SECONDS = 10.0  # that a population takes, by its lease's row: a busy machine changes little
NAP = 0.01  # that it takes here
WORKERS = 4
OWNERS = ("ann", "ben", "cat")
BIG = 50


@pytest.fixture(autouse=True)
def expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first populations are charged what they will take: a few claims tell then."""
    monkeypatch.setattr(fairness, "UNKNOWN_SECONDS", SECONDS)


def claimant(worker: str) -> Claimant:
    everything = frozenset({"mlp", "digits"})
    return Claimant(worker, everything, everything, Sizes(2, 2), 30.0, 3, known=KnownJobs())


def claim(database: Database, worker: str = "w") -> Lease:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant(worker))
    assert lease is not None
    return lease


def submit_for(database: Database, owner: str | None, trials: int = 200, **fields: object) -> str:
    job_id = submit(database, trials, **fields)
    with database.transaction() as transaction:
        own = sa.update(job_table).where(job_table.c.id == job_id).values(owner=owner)
        transaction.execute(own)
    return job_id


def weigh(database: Database, **weights: int) -> None:
    """Keys of these weights, whose ids are their names."""
    rows = [
        {"id": name, "prefix": name, "hash": "", "name": name, "scope": "submit", "created_at": 0.0}
        | {"weight": weight}
        for name, weight in weights.items()
    ]
    with database.transaction() as transaction:
        transaction.execute(sa.insert(api_keys), rows)


@dataclass
class Crowd:
    """Workers in threads, that train nothing for a while, until so many claims were made."""

    database: Database
    claims: int
    on_claim: Callable[[int], None] = lambda place: None

    def run(self) -> list[Lease]:
        """Return the leases in the order of their claims."""
        self._made: list[Lease] = []
        self._lock = threading.Lock()
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(self._work, [f"worker-{n}" for n in range(WORKERS)]))
        return self._made

    def _work(self, worker: str) -> None:
        own = claimant(worker)
        while len(self._made) < self.claims:
            with self.database.transaction() as transaction:
                lease = claiming.claim(transaction, own)
            assert lease is not None
            with self._lock:
                self._made.append(lease)
                self.on_claim(len(self._made))
            finish(self.database, lease)


def finish(database: Database, lease: Lease) -> None:
    params = [{"penalty": "l1", "lambda": 0.5} for _ in range(lease.size)]
    with database.transaction() as transaction:
        first = holding.reserve(transaction, lease, params, SPACE)
        begun = sa.update(lease_table).where(lease_table.c.id == lease.id)
        transaction.execute(begun.values(held_from=now() - SECONDS))
    time.sleep(NAP)
    outcomes = [outcome_of(first + place, 0.5) for place in range(lease.size)]
    with database.transaction() as transaction:
        holding.finish_population(transaction, replace(lease, first_number=first), outcomes)


def test_a_small_job_among_50_big_ones_begins_before_any_worker_has_finished_two_populations(
    database: Database,
) -> None:
    for _ in range(BIG):
        submit(database, 2_000)
    came = threading.Event()
    small: list[str] = []

    def on_claim(place: int) -> None:
        if place == 20 and not came.is_set():
            small.append(submit(database, 20))
            came.set()

    order = [lease.job_id for lease in Crowd(database, 20 + 4 * WORKERS, on_claim).run()]
    # Those who were about to claim as it came have made their choice.
    assert order.index(small[0]) - 20 <= 2 + WORKERS - 1


def test_keys_get_what_they_weigh_and_their_jobs_as_much_as_each_other(database: Database):
    weigh(database, ann=1, ben=2, cat=4)
    owners = {submit_for(database, owner): owner for owner in OWNERS for _ in range(2)}
    made = Crowd(database, 84).run()
    counts = Counter(owners[lease.job_id] for lease in made)
    for owner, fair in zip(OWNERS, (12, 24, 48), strict=True):
        assert counts[owner] == pytest.approx(fair, abs=5), counts
    of_jobs = Counter(lease.job_id for lease in made)
    for job_id, owner in owners.items():
        assert of_jobs[job_id] == pytest.approx(counts[owner] / 2, abs=4)


def test_whoever_claims_at_once_no_second_is_lost(database: Database, monkeypatch):
    """Every lease is charged once, what it took: to its job's account."""
    monkeypatch.setattr(fairness, "CREDIT", float("inf"))  # none is lifted
    weigh(database, ann=1, ben=2)
    owners = {submit_for(database, owner): owner for owner in ("ann", "ben") for _ in range(3)}
    Crowd(database, 40).run()
    with database.reading() as transaction:
        times = dict(
            transaction.execute(sa.select(accounts.c.owner, accounts.c.virtual_time)).all()
        )
        done = transaction.execute(sa.select(lease_table)).all()
    assert {lease.state for lease in done} == {"done"}
    for owner, weight in (("ann", 1), ("ben", 2)):
        charged = sum(lease.charged for lease in done if owners[lease.job_id] == owner)
        assert times[owner] == pytest.approx(charged / weight, abs=1e-6)
        assert charged > 0


def test_a_claim_that_does_not_commit_charges_nobody_and_a_lost_one_does(database: Database):
    submit(database)
    with database.engine.connect() as connection:
        assert claiming.claim(connection, claimant("w"))
        connection.rollback()
    assert charged(database) == []
    first = claim(database)
    assert charged(database) == [pytest.approx(SECONDS)]
    with database.transaction() as transaction:
        holding.expire_leases(transaction)
    assert claim(database).id == first.id
    assert charged(database) == [pytest.approx(2 * SECONDS)]


def charged(database: Database) -> list[float]:
    with database.reading() as transaction:
        return [*transaction.execute(sa.select(accounts.c.virtual_time)).scalars()]


def test_no_key_gets_before_another_by_priority_but_its_own_jobs_go_by_it(database: Database):
    weigh(database, ann=1, ben=1)
    submit_for(database, "ann")
    urgent = submit_for(database, "ann", priority=100)
    modest = submit_for(database, "ben", priority=-100)
    assert Counter(claim(database).job_id for _ in range(8)) == {urgent: 4, modest: 4}


def test_a_worker_alone_begins_all_jobs_and_serves_them_alike(database: Database):
    jobs = {submit(database, 200 + place) for place in range(6)}
    served: list[str] = []
    for _ in range(48):
        lease = claim(database)
        finish(database, lease)
        served.append(lease.job_id)
    assert set(served[:12]) == jobs  # every second claim begins one
    counts = Counter(served[12:]).values()
    assert len(counts) == len(jobs)
    assert max(counts) - min(counts) <= 2, served  # who began first is a little ahead


def test_what_an_earlier_release_s_worker_claimed_ends_without_a_charge(database: Database):
    submit(database)
    lease = claim(database)
    with database.transaction() as transaction:
        transaction.execute(sa.update(lease_table).values(charged=None, held_from=None))
    before = charged(database)
    finish(database, lease)
    assert charged(database) == before


def test_a_job_that_others_hold_is_passed_by_and_waited_for_where_it_is_all(database: Database):
    """PostgreSQL locks rows; a claim waits for none while there is another job to claim."""
    if database.embedded:
        pytest.skip("SQLite has one writer at a time")
    first, second = submit(database), submit(database)
    with ThreadPoolExecutor(1) as pool, database.transaction() as holder:
        lock_job(holder, first)
        assert [claim(database).job_id for _ in range(3)] == [second] * 3
        with database.transaction() as transaction:
            lifecycle.cancel_job(transaction, second)
        waits = pool.submit(claim, database)
        time.sleep(0.1)
        assert not waits.done()
        holder.commit()
        assert waits.result().job_id == first
