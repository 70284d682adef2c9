"""PostgreSQL falls silent: nothing is refused, nothing is cut, and nothing is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa
from databases import create_database, drop_database
from proxies import Proxy, proxy_before
from serving import serve_apart
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.database.outages import will_pass

ANSWERED_WITHIN_SECONDS = 10.0
JOB = {"dataset": "digits"}


@pytest.fixture
def proxy(postgres_server, postgres_template) -> Iterator[Proxy]:
    url = create_database(postgres_server, postgres_template)
    with proxy_before(url) as proxy:
        yield proxy
    drop_database(postgres_server, url)


async def ask(url: str, job: str) -> list[tuple[int, float]]:
    """Send looks and changes, all at once; their statuses, and the seconds that each took."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def timed(method: str, path: str) -> tuple[int, float]:
            start = time.monotonic()
            body = JOB if path == "/v1/jobs" and method == "POST" else None
            answer = await client.request(method, path, json=body)
            return answer.status_code, time.monotonic() - start

        requests = [
            ("GET", job),
            ("GET", "/v1/jobs"),
            ("GET", f"{job}/trials"),
            ("GET", "/readyz"),
            ("POST", "/v1/jobs"),
            ("POST", f"{job}/pause"),
        ]
        return await asyncio.gather(*(timed(*request) for request in requests * 3))


def test_a_silent_database_is_told_within_ten_seconds_and_found_again(proxy, tmp_path):
    with serve_apart(proxy.url, tmp_path) as url:
        job = httpx.post(f"{url}/v1/jobs", json=JOB).json()["links"]["self"]
        for _ in range(2):  # on connections that were open, and on new ones
            proxy.fall_silent()
            answers = asyncio.run(ask(url, job))
            assert {status for status, _ in answers} == {503}
            assert max(seconds for _, seconds in answers) < ANSWERED_WITHIN_SECONDS, answers
        assert httpx.get(f"{url}/healthz").status_code == 200
        proxy.speak_again()
        wait_until(lambda: httpx.get(f"{url}{job}", timeout=30).status_code == 200, 30)
        assert httpx.post(f"{url}{job}/pause").status_code == 200


def ask_into_silence(database: Database, proxy: Proxy) -> None:
    with database.transaction() as transaction:
        transaction.execute(sa.text("SELECT 1"))
        proxy.fall_silent()
        transaction.execute(sa.text("SELECT 1"))


def test_an_answer_that_never_comes_ends_a_hurried_transaction_and_will_pass(proxy):
    database = Database(proxy.url, wait_seconds=0.5, hurried=True)
    start = time.monotonic()
    with pytest.raises(sa.exc.DBAPIError) as caught:
        ask_into_silence(database, proxy)
    assert time.monotonic() - start < ANSWERED_WITHIN_SECONDS
    assert caught.value.connection_invalidated
    assert will_pass(caught.value)
    database.close()


def test_a_statement_that_takes_too_long_ends_and_leaves_the_connection(proxy):
    database = Database(proxy.url, wait_seconds=0.5, hurried=True)
    with pytest.raises(sa.exc.DBAPIError) as caught, database.reading() as transaction:
        transaction.execute(sa.text("SELECT pg_sleep(30)"))
    assert will_pass(caught.value)
    assert not caught.value.connection_invalidated
    database.close()
