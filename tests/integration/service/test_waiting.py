"""Who has to wait for the database, and for how long: a real service, real locks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from serving import serve_apart

from ridgeway.database.engine import Database
from service import writers
from service.problems import ServiceUnavailable
from service.writers import Writers

WAIT_SECONDS = 3.0
JOB = {"dataset": "digits"}


@pytest.fixture
def url(database_url, tmp_path) -> Iterator[str]:
    """A service whose requests wait for the database for three seconds."""
    with serve_apart(database_url, tmp_path, request_wait_seconds=str(WAIT_SECONDS)) as url:
        yield url


@contextmanager
def locked(database_url: str) -> Iterator[None]:
    """Nobody else can change a job's row, or write one."""
    engine = sa.create_engine(Database(database_url).url, poolclass=sa.NullPool)
    with engine.connect() as holder:
        if engine.dialect.name == "sqlite":
            holder.exec_driver_sql("UPDATE jobs SET priority = priority")
        else:
            holder.exec_driver_sql("LOCK TABLE jobs IN EXCLUSIVE MODE")
        yield


async def timed(request: Coroutine[Any, Any, httpx.Response]) -> tuple[httpx.Response, float]:
    start = time.monotonic()
    answer = await request
    return answer, time.monotonic() - start


async def write_and_look(
    url: str, path: str, writing: Callable[[httpx.AsyncClient], list[Any]]
) -> tuple[list[tuple[httpx.Response, float]], list[tuple[httpx.Response, float]]]:
    """Send all that `writing` makes at once, and look at the path until all are answered."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        changes = [asyncio.create_task(timed(request)) for request in writing(client)]
        looks = []
        while not all(change.done() for change in changes):
            looks.append(await timed(client.get(path)))
            await asyncio.sleep(0.1)
        return [await change for change in changes], looks


def held_up(changes: list[tuple[httpx.Response, float]]) -> bool:
    """Every one was told after the time that is set, and when to come again."""
    return all(
        answer.status_code == 503
        and int(answer.headers["retry-after"]) > 0
        and WAIT_SECONDS - 0.2 < seconds < 4 * WAIT_SECONDS  # a busy machine takes its time, too
        for answer, seconds in changes
    )


@pytest.mark.parametrize(
    "writing",
    [
        pytest.param(
            lambda client, path: [client.post("/v1/jobs", json=JOB) for _ in range(60)],
            id="60 submissions",
        ),
        pytest.param(
            lambda client, path: [client.post(f"{path}/pause") for _ in range(40)],
            id="40 pauses of one job",
        ),
    ],
)
def test_readers_wait_for_no_writer_and_no_writer_for_long(url, database_url, writing):
    path = httpx.post(f"{url}/v1/jobs", json=JOB).json()["links"]["self"]
    with locked(database_url):
        changes, looks = asyncio.run(
            write_and_look(url, path, lambda client: writing(client, path))
        )
    assert held_up(changes), [(answer.status_code, seconds) for answer, seconds in changes]
    assert {answer.status_code for answer, _ in looks} == {200}
    assert len(looks) > 3
    assert max(seconds for _, seconds in looks) < WAIT_SECONDS
    assert len(httpx.get(f"{url}/v1/jobs").json()["jobs"]) == 1
    assert httpx.post(f"{url}{path}/pause").status_code == 200


def test_one_writer_too_many_in_the_line_is_told_at_once(database, database_url, monkeypatch):
    monkeypatch.setattr(writers, "MOST_WAITING", 4)

    async def crowd() -> list[BaseException | None]:
        line = Writers(database, 1.0)
        most = (1 if database.embedded else writers.AT_ONCE) + writers.MOST_WAITING
        change = sa.text("UPDATE jobs SET priority = 0")
        waiting = [
            asyncio.create_task(line.write(lambda transaction: transaction.execute(change)))
            for _ in range(most)
        ]
        await asyncio.sleep(0)
        start = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="busy"):
            await line.write(lambda transaction: None)
        assert time.monotonic() - start < 0.5
        done = await asyncio.gather(*waiting, return_exceptions=True)
        return [each if isinstance(each, BaseException) else None for each in done]

    with locked(database_url):
        told = asyncio.run(crowd())
    assert None not in told
