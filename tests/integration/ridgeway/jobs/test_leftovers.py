"""Files that nothing names leave the store in time; nobody who is at work loses one."""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from simulated import SPACE, recommended
from submitting import submit

from ridgeway.data import catalogue
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import datasets
from ridgeway.jobs import claiming, holding, leftovers, lifecycle
from ridgeway.jobs.artifacts import Artifact
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.leftovers import Leftovers
from ridgeway.jobs.sizes import Sizes
from ridgeway.settings import Settings
from ridgeway.study.writing import Outcome

MODEL = "model.safetensors"
CLAIMANT = Claimant("w", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 64), 30.0, 5)
GRACE = 3600.0


class Clock:
    """What the sweep takes for the time; files are as old as the test makes them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.passed = 0.0
        monotonic, now = time.monotonic, time.time
        patch.setattr(leftovers.time, "monotonic", lambda: monotonic() + self.passed)
        patch.setattr(leftovers.time, "time", lambda: now() + self.passed)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    class _Time:
        monotonic = staticmethod(time.monotonic)
        time = staticmethod(time.time)

    monkeypatch.setattr(leftovers, "time", _Time)
    return Clock(monkeypatch)


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(
        str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4()}"
    )


def keys(store: Store) -> set[str]:
    return {entry.key for prefix in ("jobs", "datasets") for entry in store.entries(prefix)}


def sweep(database: Database, store: Store, clock: Clock) -> set[str]:
    """Look as often as it takes for whatever is unnamed to go; what has gone."""
    before, found = keys(store), Leftovers(database, store, GRACE)
    for _ in range(leftovers.LOOKS + 2):
        found.look()
        clock.passed += found.seconds
    return before - keys(store)


def claimed(database: Database) -> Lease:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
    assert lease is not None
    return lease


def checkpointed(database: Database, store: Store, lease: Lease) -> str:
    """Write a checkpoint as the lease's holder does."""
    key = f"jobs/{lease.job_id}/checkpoints/{lease.id}-{lease.fence}-{'a' * 64}.safetensors"
    store.put(key, b"half")
    with database.transaction() as transaction:
        holding.record_checkpoint(transaction, lease, key)
    return key


def written(store: Store, lease: Lease) -> str:
    """Put an answer's model into the store, not recorded yet."""
    key = f"jobs/{lease.job_id}/{lease.id}-{lease.fence}/{MODEL}"
    store.put(key, b"weights")
    return key


def answer_of(database: Database, job_id: str) -> Lease:
    """Lease the answer of a job of one trial."""
    lease = claimed(database)
    with database.transaction() as transaction:
        first = holding.reserve(
            transaction, lease, [{"penalty": "l1", "lambda": 0.5}] * lease.size, SPACE
        )
        outcomes = [Outcome(first + each, None, reason="x") for each in range(lease.size)]
        complete = sa.text("UPDATE jobs SET complete = 1 WHERE id = :id")
        transaction.execute(complete, {"id": job_id})
        holding.finish_population(transaction, lease, outcomes)
    return claimed(database)


def finished(database: Database, store: Store, lease: Lease) -> str:
    key = written(store, lease)
    with database.transaction() as transaction:
        kept = {MODEL: Artifact(key, "0", 7)}
        holding.finish_answer(transaction, lease, recommended(), kept)
    return key


def test_the_model_of_an_earlier_answer_goes_and_the_last_ones_stays(database, store, clock):
    job_id = submit(database, trials=1)
    answer = answer_of(database, job_id)
    first = finished(database, store, answer)
    with database.transaction() as transaction:
        transaction.execute(sa.text("UPDATE jobs SET state = 'running'"))
    last = finished(database, store, claimed(database))
    assert sweep(database, store, clock) == {first}
    assert keys(store) == {last}


def test_the_checkpoint_of_a_cancelled_job_goes(database, store, clock):
    job_id = submit(database)
    key = checkpointed(database, store, claimed(database))
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
    assert sweep(database, store, clock) == {key}


@pytest.mark.parametrize("lost", [False, True])
def test_the_checkpoint_of_a_job_that_goes_on_stays(database, store, clock, lost):
    submit(database)
    key = checkpointed(database, store, claimed(database))
    if lost:  # the next holder goes on from it
        with database.transaction() as transaction:
            holding.expire_leases(transaction)
    assert sweep(database, store, clock) == set()
    assert keys(store) == {key}


def test_what_a_live_holder_has_written_stays_until_it_is_recorded(database, store, clock):
    job_id = submit(database, trials=1)
    answer = answer_of(database, job_id)
    key = written(store, answer)  # and the database is away for a day
    assert sweep(database, store, clock) == set()
    assert finished(database, store, answer) == key
    assert sweep(database, store, clock) == set()


def test_what_a_lost_holder_has_written_goes(database, store, clock):
    job_id = submit(database, trials=1)
    lost = answer_of(database, job_id)
    key = written(store, lost)
    with database.transaction() as transaction:
        holding.expire_leases(transaction)
    successor = claimed(database)
    live = written(store, successor)
    assert sweep(database, store, clock) == {key}
    assert keys(store) == {live}


def test_halves_of_files_and_tables_without_a_data_set_go(database, store, clock):
    table = f"datasets/{'b' * 64}.parquet"
    store.put(table, b"rows")
    store.put("jobs/1/checkpoints/x", b"")
    half = f"jobs/1/checkpoints/.{'c' * 32}"  # of a writer that was killed
    with store._files.open(f"{store._root}/{half}", "wb") as file:
        file.write(b"we")
    assert sweep(database, store, clock) == {table, half}


def test_files_of_names_that_are_not_ours_stay(database, store, clock):
    of_another_release = {"jobs/1/report.html", "datasets/index.json", "plots/1.svg"}
    for key in of_another_release:
        store.put(key, b"")
    sweep(database, store, clock)
    assert all(store.exists(key) for key in of_another_release)


def test_nothing_goes_at_first_sight_or_before_its_time(database, store, clock, tmp_path):
    table = f"datasets/{'b' * 64}.parquet"
    store.put(table, b"rows")
    found = Leftovers(database, store, GRACE)
    while clock.passed < GRACE - found.seconds:
        assert found.look() == 0
        clock.passed += found.seconds
    clock.passed += 2 * found.seconds
    assert Leftovers(database, store, GRACE).look() == 0, "a first look deletes nothing"
    assert found.look() == 1


def test_a_store_that_tells_no_times_is_looked_at_for_the_whole_time(
    database, tmp_path, clock, monkeypatch
):
    store = Store(str(tmp_path / "store"))
    monkeypatch.setattr("ridgeway.data.store._TIMES", ())
    store.put(f"datasets/{'b' * 64}.parquet", b"rows")
    os.utime(tmp_path / "store" / "datasets" / f"{'b' * 64}.parquet", (0, 0))
    found = Leftovers(database, store, GRACE)
    for _ in range(leftovers.LOOKS):
        assert found.look() == 0
        clock.passed += found.seconds
    assert found.look() == 1


def test_a_large_store_is_looked_through_in_parts(database, store, clock, monkeypatch):
    monkeypatch.setattr(leftovers, "MOST_FILES", 2)
    lost = {f"jobs/{job}/1-1/{MODEL}" for job in "abcde"}
    for key in lost:
        store.put(key, b"weights")
    listed = []
    entries = store.entries
    monkeypatch.setattr(store, "entries", lambda prefix: listed.append(prefix) or entries(prefix))
    found = Leftovers(database, store, GRACE)
    found.look()
    assert listed == ["jobs/a", "jobs/b"]
    for _ in range(3 * leftovers.LOOKS):
        clock.passed += found.seconds
        found.look()
    assert keys(store) == set()


# --- data sets --------------------------------------------------------------------------------


def bring(database: Database, store: Store, folder: Path, name: str = "mine") -> str:
    file = folder / "mine.csv"
    file.write_text("a,b\n1,2\n3,4\n5,7\n")
    catalogue.ingest(database, store, Settings(data=folder), file, name)
    with database.reading() as transaction:
        query = sa.select(datasets.c.address).where(datasets.c.name == name)
        return str(transaction.execute(query).scalar_one())


def test_the_table_of_a_data_set_stays(database, store, clock, tmp_path):
    address = bring(database, store, tmp_path)
    assert sweep(database, store, clock) == set()
    assert store.exists(address)


def test_a_table_that_was_swept_just_before_it_is_recorded_is_there_again(
    database, store, tmp_path, monkeypatch
):
    add = catalogue.add_dataset

    def swept_first(transaction: sa.Connection, upload: catalogue.Upload) -> object:
        store.delete(upload.address)
        return add(transaction, upload)

    monkeypatch.setattr(catalogue, "add_dataset", swept_first)
    assert store.exists(bring(database, store, tmp_path))


@contextmanager
def swept_without_grace(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Look and look again in a thread; only halves, which nothing but their age keeps, stay."""
    monkeypatch.setattr(leftovers, "_UNFINISHED", re.compile("nothing"))
    ended, failures = threading.Event(), []

    def sweep_on() -> None:
        own = Database(database.url.render_as_string(hide_password=False))
        found = Leftovers(own, store, 0.0)
        try:
            while not ended.is_set():
                found.look()
        except BaseException as error:
            failures.append(error)
        finally:
            own.close()

    sweeping = threading.Thread(target=sweep_on)
    sweeping.start()
    try:
        yield
    finally:
        ended.set()
        sweeping.join()
    assert failures == []


def test_uploads_and_sweeps_at_once_lose_no_table(database, tmp_path, monkeypatch):
    """The same file is brought and forgotten again and again, while somebody sweeps as hard."""
    store = Store(str(tmp_path / "store"))
    with swept_without_grace(database, store, monkeypatch):
        for number in range(15):
            address = bring(database, store, tmp_path, f"mine {number}")
            assert store.exists(address)
            with database.transaction() as transaction:
                transaction.execute(sa.delete(datasets))


def test_a_holder_that_writes_while_others_sweep_loses_no_checkpoint(
    database, tmp_path, monkeypatch
):
    store = Store(str(tmp_path / "store"))
    submit(database)
    lease = claimed(database)
    with swept_without_grace(database, store, monkeypatch):
        for number in range(30):
            name = f"{lease.id}-{lease.fence}-{number:064x}.safetensors"
            key = f"jobs/{lease.job_id}/checkpoints/{name}"
            store.put(key, b"half")
            with database.transaction() as transaction:
                before = holding.record_checkpoint(transaction, lease, key)
            assert store.get(key) == b"half"
            if before is not None:
                store.delete(before)
