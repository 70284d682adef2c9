"""/v1/jobs/{id}/events: what happens is told, once, to many, from where each reader left off."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import threading
import time
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from service_processes import running
from simulated import recommended
from sqlalchemy import event
from submitting import submit
from talking import connected
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.jobs.deletion import delete_job
from ridgeway.jobs.lifecycle import cancel_job, pause_job
from ridgeway.jobs.rows import update_job
from ridgeway.keys.caller import LOCAL, Caller
from service import streams
from service.looks import Looks
from service.problems import ServiceUnavailable
from service.streams import Streams


@pytest.fixture(autouse=True)
def short_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests don't wait half a second for news."""
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.02)


def parsed(text: str) -> list[dict[str, Any]]:
    """The events of a stream: kind, data, and the id where they carry one."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    events = [dict(line.split(": ", 1) for line in block) for block in blocks if block]
    events = [fields for fields in events if "event" in fields]
    return [{**fields, "data": json.loads(fields["data"])} for fields in events]


def change(database: Database, job_id: str, **values: Any) -> None:
    with database.transaction() as transaction:
        update_job(transaction, job_id, **values)


def end(database: Database, job_id: str) -> None:
    with database.transaction() as transaction:
        cancel_job(transaction, job_id)


def read_events(http: httpx.Client, job_id: str, last_id: str | None = None) -> list[Any]:
    """All events of a job that ends."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    return parsed(http.get(f"/v1/jobs/{job_id}/events", headers=headers).text)


def kinds(events: list[Any]) -> list[str]:
    return [each["event"] for each in events]


def test_a_stream_tells_what_there_is_then_what_happens_then_the_end(http, database):
    job_id = submit(database)
    best = {"number": 3, "value": 0.5, "standard_error": None, "params": {}, "nonzero_weights": 2.0}
    with http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        pieces = response.iter_text()
        text = next(pieces)
        while "event: state" not in text:
            text += next(pieces)
        change(database, job_id, state="running", started_at=1.0)
        change(database, job_id, complete=7, best={**best, "weights": 9}, warnings=["one\ntwo"])
        while '"complete":7' not in text:
            text += next(pieces)
        end(database, job_id)
        text += "".join(pieces)
    events = parsed(text)
    assert kinds(events)[:2] == ["progress", "state"]
    assert (events[0]["data"]["trials"], events[1]["data"]["state"]) == (20, "queued")
    (found,) = [each["data"] for each in events if each["event"] == "best"]
    assert (found["number"], found["weights"]) == (3, 9)
    assert {"text": "one\ntwo"} in [each["data"] for each in events if each["event"] == "warning"]
    states = [each["data"]["state"] for each in events if each["event"] == "state"]
    assert states in (["queued", "running", "cancelled"], ["queued", "cancelled"])
    assert (events[-1]["event"], events[-1]["data"]) == ("end", {"state": "cancelled"})


def test_who_comes_back_is_sent_what_it_missed_as_it_stands_now(http, database):
    job_id = submit(database)
    change(database, job_id, state="running", started_at=1.0, complete=2, warnings=["a"])
    with http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        pieces = response.iter_text()
        text = next(pieces)
        while "\nid: " not in text:
            text += next(pieces)
    before = parsed(text)
    assert [each for each in before[:-1] if "id" in each] == []  # a batch is seen as a whole
    for complete in (3, 4, 5):
        change(database, job_id, complete=complete)
    change(database, job_id, warnings=["a", "b"])
    end(database, job_id)
    missed = read_events(http, job_id, before[-1]["id"])
    assert [each["data"]["complete"] for each in missed if each["event"] == "progress"] == [5]
    told = [each["data"]["text"] for each in missed if each["event"] == "warning"]
    assert told[0] == "b"
    assert "a" not in told
    again = http.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": missed[-1]["id"]})
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize("last_id", ["", "7", "x" * 5000, "0.0.0.0", "aa\u00e9"])
def test_an_id_of_somebody_else_s_tells_everything(http, database, last_id):
    job_id = submit(database)
    end(database, job_id)
    headers = {"Last-Event-ID": last_id.encode()}
    told = parsed(http.get(f"/v1/jobs/{job_id}/events", headers=headers).text)
    assert kinds(told) == ["progress", "state", "end"]


def test_the_end_tells_the_verdict(http, database):
    job_id = submit(database)
    answer = recommended().model_dump(mode="json")
    change(database, job_id, state="succeeded", recommended=answer, finished_at=2.0)
    state = next(each for each in read_events(http, job_id) if each["event"] == "state")
    assert state["data"]["verdict"] is None  # an answer of an early release has none
    assert state["data"]["state"] == "succeeded"


def test_there_are_no_events_of_no_job(http):
    answer = http.get("/v1/jobs/0198f2c1-0000-7000-8000-000000000000/events")
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


# --- many readers, and what befalls them ------------------------------------------------------


class Reader:
    """Reads a stream in a task; what has come of it so far."""

    def __init__(self, stream: streams.Stream) -> None:
        self.text = ""
        self._stream = stream
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for piece in self._stream:
                self.text += piece.decode()
        finally:
            self._stream.close()

    async def until(self, said: str) -> None:
        async with asyncio.timeout(10):
            while said not in self.text:
                await asyncio.sleep(0.01)


async def always(caller: Caller) -> bool:
    """Every key holds."""
    return True


async def opened(those: Streams, job_id: str, caller: Caller = LOCAL) -> Reader:
    stream = await those.open(job_id, caller)
    assert stream is not None
    return Reader(stream)


def test_fifty_streams_of_a_job_cost_as_many_reads_as_one(database, monkeypatch):
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr("service.looks.GOING_SECONDS", 0.0)  # else SQLite is not read at all
    job_id = submit(database)
    change(database, job_id, state="running", started_at=1.0, complete=1)
    statements: list[str] = []
    event.listen(database.engine, "after_cursor_execute", lambda *told: statements.append(told[2]))

    async def crowd() -> tuple[int, set[str]]:
        looks = Looks(database)
        those = Streams(looks, always)
        readers = [await opened(those, job_id) for _ in range(50)]
        statements.clear()
        await asyncio.sleep(0.55)
        beats = sum("FROM jobs" in each for each in statements)
        end(database, job_id)
        await asyncio.gather(*(reader.task for reader in readers))
        looks.close()
        # The time that is left was estimated for each as it came.
        return beats, {re.sub('"eta_seconds":[^,}]*', "", each.text) for each in readers}

    beats, told = asyncio.run(crowd())
    assert 2 <= beats <= 6
    assert len(told) == 1


def test_the_database_may_be_away_for_a_while(database, monkeypatch, caplog):
    monkeypatch.setattr(streams, "PING_SECONDS", 0.05)
    job_id = submit(database)

    async def outage() -> str:
        looks = Looks(database)
        reader = await opened(Streams(looks, always), job_id)
        await reader.until(": still here")
        with database.transaction() as transaction:
            transaction.execute(sa.text("ALTER TABLE jobs RENAME TO elsewhere"))
        await reader.until(": the database does not answer")
        with database.transaction() as transaction:
            transaction.execute(sa.text("ALTER TABLE elsewhere RENAME TO jobs"))
            pause_job(transaction, job_id)
        await reader.until('"state":"paused"')
        end(database, job_id)
        await reader.task
        looks.close()
        return reader.text

    assert kinds(parsed(asyncio.run(outage())))[-1] == "end"
    assert len([each for each in caplog.records if each.name == "service.streams"]) == 1


def test_a_job_that_is_deleted_ends_its_streams(database):
    job_id = submit(database)

    async def deletion() -> str:
        looks = Looks(database)
        reader = await opened(Streams(looks, always), job_id)
        await reader.until("event: state")
        with database.transaction() as transaction:  # before the next beat sees it ended
            cancel_job(transaction, job_id)
            delete_job(transaction, job_id)
        await reader.task
        looks.close()
        return reader.text

    (last,) = parsed(asyncio.run(deletion()))[-1:]
    assert last["data"] == {"state": "deleted"}


def test_there_are_only_so_many_streams_and_those_that_leave_make_room(database, monkeypatch):
    monkeypatch.setattr(streams, "MOST_STREAMS", 3)
    monkeypatch.setattr(streams, "MOST_OF_A_JOB", 2)
    one, other = submit(database), submit(database)

    async def crowd() -> None:
        looks = Looks(database)
        those = Streams(looks, always)
        readers = [await opened(those, one) for _ in range(2)]
        with pytest.raises(ServiceUnavailable, match="2 event streams of this job"):
            await those.open(one)
        readers.append(await opened(those, other))
        with pytest.raises(ServiceUnavailable, match="3 event streams are open"):
            await those.open(other)
        readers[0].task.cancel()
        await asyncio.gather(readers[0].task, return_exceptions=True)
        readers.append(await opened(those, one))
        await those.stop()
        await asyncio.gather(*(reader.task for reader in readers[1:]))
        with pytest.raises(ServiceUnavailable, match="about to stop"):
            await those.open(one)
        looks.close()

    asyncio.run(crowd())


def test_a_key_has_only_so_many_streams_and_none_once_it_is_revoked(database, monkeypatch):
    monkeypatch.setattr(streams, "MOST_OF_A_KEY", 2)
    ann, bob = (Caller(key, key, "read") for key in ("ann", "bob"))
    one, other = submit(database), submit(database)
    revoked: set[Caller] = set()

    async def holds(caller: Caller) -> bool:
        return caller not in revoked

    async def crowd() -> None:
        looks = Looks(database)
        those = Streams(looks, holds)
        own = [await opened(those, job_id, ann) for job_id in (one, other)]
        with pytest.raises(ServiceUnavailable, match="2 event streams of this key"):
            await those.open(one, ann)
        others = [await opened(those, one, caller) for caller in (bob, LOCAL, LOCAL, LOCAL)]
        await asyncio.gather(*(reader.until("event: state") for reader in (*own, *others)))
        revoked.add(ann)
        async with asyncio.timeout(10):
            await asyncio.gather(*(reader.task for reader in own))
        change(database, one, state="running", started_at=1.0)
        await asyncio.gather(*(reader.until('"state":"running"') for reader in others))
        assert '"state":"running"' not in own[0].text
        await those.stop()
        await asyncio.gather(*(reader.task for reader in others))
        looks.close()

    asyncio.run(crowd())


def test_a_reader_that_goes_away_leaves_nothing_behind(http, served, database):
    job_id = submit(database)
    connection = connected(str(http.base_url))
    host = str(http.base_url.netloc, "ascii")
    connection.sendall(f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert connection.recv(100).startswith(b"HTTP/1.1 200")
    watches = served.app.state.context.streams._watches
    assert set(watches) == {job_id}
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
    wait_until(lambda: not watches, 10)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_service_that_is_told_to_stop_ends_its_streams_and_stops_at_once(
    database, database_url, tmp_path
):
    job_id = submit(database)
    with running(database_url, tmp_path) as service:
        said: list[str] = []
        begun = threading.Event()

        def read() -> None:
            with service.http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
                for piece in response.iter_text():
                    said.append(piece)
                    begun.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(20)
        asked = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) in (0, -signal.SIGTERM)
        assert time.monotonic() - asked < 5
        reader.join(20)  # the answer came to its end: httpx raised nothing
        assert not reader.is_alive()
    assert kinds(parsed("".join(said))) == ["progress", "state"]
