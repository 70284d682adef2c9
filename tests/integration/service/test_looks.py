"""Many clients look at one job: few reads serve them, and none is shown what was before it."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from submitting import submit
from waiting import wait_until

from ridgeway import fleet
from ridgeway.database.engine import Database
from ridgeway.errors import NotFound
from ridgeway.jobs.lifecycle import pause_job
from ridgeway.jobs.rows import update_job
from ridgeway.jobs.waiting import NOBODY
from service.looks import Looks


class Reads:
    """Counts reads of a job's row; the first goes on when `go_on` is set."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        self.go_on = threading.Event()
        event.listen(database.engine, "after_cursor_execute", self._note)

    def _note(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM jobs" in statement:
            self.count += 1
            assert self.go_on.wait(20)


@contextmanager
def looking(database: Database) -> Iterator[tuple[Looks, Reads]]:
    reader = Database(database.url.render_as_string(hide_password=False))
    reads = Reads(reader)
    looks = Looks(reader)
    yield looks, reads
    looks.close()
    reader.close()


def test_one_read_serves_all_that_ask_before_it_and_the_next_one_all_that_ask_meanwhile(database):
    job_id = submit(database)
    with looking(database) as (looks, reads):

        async def crowd() -> list[bytes]:
            first = asyncio.create_task(looks.job(job_id))
            await asyncio.to_thread(wait_until, lambda: reads.count == 1)
            others = [asyncio.create_task(looks.job(job_id)) for _ in range(50)]
            await asyncio.sleep(0)
            reads.go_on.set()
            return [look.body for look in await asyncio.gather(first, *others)]

        bodies = asyncio.run(crowd())
    assert reads.count == 2
    assert len(set(bodies)) == 1


def test_who_asks_after_a_change_is_shown_it_though_a_read_is_under_way(database):
    job_id = submit(database)
    with looking(database) as (looks, reads):

        async def change_meanwhile() -> tuple[bytes, bytes]:
            before = asyncio.create_task(looks.job(job_id))
            await asyncio.to_thread(wait_until, lambda: reads.count == 1)
            with database.transaction() as transaction:
                pause_job(transaction, job_id)
            after = asyncio.create_task(looks.job(job_id))
            await asyncio.sleep(0)
            reads.go_on.set()
            return (await before).body, (await after).body

        before, after = asyncio.run(change_meanwhile())
    assert b'"state":"queued"' in before
    assert b'"state":"paused"' in after


@pytest.mark.parametrize("state", ["queued", "running"])
def test_sqlite_is_not_read_again_while_nothing_was_committed(database, state):
    job_id = submit(database)
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def look_on() -> bytes:
            with database.transaction() as transaction:
                update_job(transaction, job_id, state=state, started_at=1.0, complete=1)
            for _ in range(10):
                assert f'"state":"{state}"'.encode() in (await looks.job(job_id)).body
            assert reads.count == (1 if database.embedded else 10)
            with database.transaction() as transaction:
                pause_job(transaction, job_id)
            return (await looks.job(job_id)).body

        assert b'"state":"paused"' in asyncio.run(look_on())


def test_a_running_job_is_read_again_in_time_as_its_end_may_be_told_from_the_clock(
    database, monkeypatch
):
    monkeypatch.setattr("service.looks.GOING_SECONDS", 0.0)
    job_id = submit(database)
    with database.transaction() as transaction:
        update_job(transaction, job_id, state="running", started_at=1.0, complete=1)
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def look_on() -> list[float]:
            bodies = [(await looks.job(job_id)).body for _ in range(3)]
            return [json.loads(body)["progress"]["eta_seconds"] for body in bodies]

        left = asyncio.run(look_on())
    assert reads.count == 3
    assert left[0] < left[1] < left[2]


def test_reads_of_a_crowd_begin_apart_and_serve_all_who_came_between_them(database, monkeypatch):
    monkeypatch.setattr("service.looks.APART_SECONDS", 0.2)
    monkeypatch.setattr("service.looks.WAITING_SECONDS", 0.0)
    job_id = submit(database)
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def crowd() -> float:
            begun = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(looks.job(job_id))
                    await asyncio.sleep(0.01)
            return time.monotonic() - begun

        seconds = asyncio.run(crowd())
    assert 2 <= reads.count <= 1 + seconds / 0.2


def test_a_job_that_waits_is_read_again_in_time_as_workers_go_without_a_commit(
    database, monkeypatch
):
    monkeypatch.setattr("service.looks.WAITING_SECONDS", 0.0)
    job_id = submit(database)
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def look_on(count: int) -> bytes:
            return [await looks.job(job_id) for _ in range(count)][-1].body

        assert NOBODY.encode() in asyncio.run(look_on(3))
        assert reads.count == 3
        with database.transaction() as transaction:
            models, datasets = frozenset({"mlp"}), frozenset({"digits"})
            record = fleet.WorkerRecord("w", "gpu-1", 1, "cpu", "0", models, datasets)
            fleet.record_worker(transaction, record)
        assert NOBODY.encode() not in asyncio.run(look_on(1))


def test_a_look_is_compressed_once_for_all(database):
    job_id = submit(database)
    with looking(database) as (looks, reads):
        reads.go_on.set()
        look = asyncio.run(looks.job(job_id))
    assert gzip.decompress(look.compressed) == look.body
    assert look.compressed is look.compressed


def test_few_looks_are_kept(database, monkeypatch):
    monkeypatch.setattr("service.looks.MOST_KEPT", 2)
    job_ids = [submit(database) for _ in range(5)]
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def look_twice() -> None:
            for _ in range(2):
                for job_id in job_ids:
                    assert job_id.encode() in (await looks.job(job_id)).body

        asyncio.run(look_twice())
    assert reads.count == 10


def test_who_goes_away_takes_nobody_along_and_no_error_is_another_job_s(database):
    job_id = submit(database)
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def crowd() -> bytes:
            leaving, staying = (asyncio.create_task(looks.job(job_id)) for _ in range(2))
            missing = asyncio.create_task(looks.job("1"))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(NotFound):
                await missing
            return (await staying).body

        assert job_id.encode() in asyncio.run(crowd())


def test_a_database_that_is_away_is_told_to_all_and_asked_again(database):
    job_id = submit(database)
    with looking(database) as (looks, reads):
        reads.go_on.set()

        async def outage() -> list[Any]:
            with database.transaction() as transaction:
                transaction.execute(sa.text("ALTER TABLE jobs RENAME TO elsewhere"))
            asked = [looks.job(job_id) for _ in range(3)]
            told = await asyncio.gather(*asked, return_exceptions=True)
            with database.transaction() as transaction:
                transaction.execute(sa.text("ALTER TABLE elsewhere RENAME TO jobs"))
            return [*told, await looks.job(job_id)]

        *told, found = asyncio.run(outage())
    assert all(isinstance(error, sa.exc.DBAPIError) for error in told)
    assert job_id.encode() in found.body


def test_what_has_not_changed_is_not_sent_again(http):
    path = http.post("/v1/jobs", json={"dataset": "digits"}).json()["links"]["self"]
    seen = http.get(path)
    tag = seen.headers["etag"]
    bare = tag.removeprefix("W/")  # weak where it came compressed
    for named in (tag, f'"other", W/{bare}', bare, "*"):
        again = http.get(path, headers={"If-None-Match": named})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"].removeprefix("W/") == bare
    assert http.get(path, headers={"If-None-Match": '"other"'}).content == seen.content
    http.post(f"{path}/pause")
    changed = http.get(path, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "paused")
    assert changed.headers["etag"] != tag
