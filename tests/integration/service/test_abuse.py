"""Requests that want all there is, or what is not theirs: each is refused, soon and cheaply.

Those that concern one room alone are tried beside it: docs/security.md has the list.
"""

from __future__ import annotations

import gzip
import re
import select
import shutil
import socket
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from keyed import filled, routes
from serving import Served
from submitting import submit
from talking import CLIMBING, connected, problem_of, read
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.settings import Settings
from service import connections, limits
from service.streams import MOST_STREAMS

get = partial(httpx.get, timeout=60)


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: what is refused does not get as far as the database."""
    shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
    return f"sqlite:///{tmp_path / 'ridgeway.db'}"


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path) -> Settings:
    url: Any = database_url
    return Settings(data=tmp_path / "data", database_url=url, max_upload_bytes=2 * 10**8)


# --- bodies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/jobs", "application/json"), ("/v1/datasets?name=a", "text/csv")],
)
def test_10_gb_that_are_announced_are_a_413_before_they_come(
    served: Served, path: str, kind: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    for expect in ("", "Expect: 100-continue\r\n"):
        with connected(served.url) as connection:
            connection.sendall(f"{head}{expect}Content-Length: {10**10}\r\n\r\n".encode())
            connection.sendall(b"ten bytes!")
            begun = time.monotonic()
            assert told(connection)["status"] == 413
            assert time.monotonic() - begun < 5
    assert list(served.app.state.context.scratch.iterdir()) == []


def test_a_body_that_is_announced_and_does_not_come_leaves_nothing_behind(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    head = "POST /v1/datasets?name=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
    with connected(served.url) as connection:
        connection.sendall(f"{head}\r\nten bytes!".encode())
        assert problem_of(read(connection))["status"] == 408
    wait_until(lambda: list(served.app.state.context.scratch.iterdir()) == [])


def test_a_cell_of_100_mb_is_a_422_in_few_words(served: Served) -> None:
    file = gzip.compress(b"a,b\n1," + b"x" * 10**8 + b"\n2,y\n", 1)
    answer = httpx.post(f"{served.url}/v1/datasets?name=a", content=file, timeout=100)
    assert answer.status_code == 422, answer.text
    assert "has more than 4,194,304 bytes" in answer.json()["detail"]
    assert len(answer.content) < 1_000


def told(connection: socket.socket) -> dict[str, Any]:
    """The problem that is told before the connection ends."""
    said = b""
    while not said.endswith(b"}\r\n") and not said.endswith(b"}"):
        said += connection.recv(65536)
    return problem_of(said)


# --- addresses and heads ----------------------------------------------------------------------

SPLITTING = "%0d%0aSet-Cookie:%20owned=1%0d%0a%0d%0a<b>"


def raw(connection: socket.socket, method: str, address: str) -> bytes:
    """What is answered to the address just as it is written: clients would tidy it up."""
    head = f"{method} {address} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
    return read(connection)


def test_no_address_climbs_out_of_its_folder(served: Served) -> None:
    with_parameters = sorted({each for each in routes(served.app) if "{" in each[1]})
    assert len(with_parameters) > 30
    for method, path in with_parameters:
        if path.startswith(("/api/", "/csv/", "/static/", "/dashboard/")):
            continue  # of the dashboard: tests/integration/service/pages/test_hostile_names.py
        for climbing in CLIMBING:
            with connected(served.url) as connection:
                said = raw(connection, method, re.sub(r"\{[^}]*\}", climbing, path))
            assert said[9:12] in (b"403", b"404", b"405", b"409", b"415", b"422"), (path, said)
            assert b"root:" not in said


def test_no_name_adds_a_header_to_an_answer(served: Served, database: Database) -> None:
    job = submit(database, name="a\r\nSet-Cookie: owned=1")
    for method, path in sorted({*routes(served.app)}):
        if path.startswith(("/api/", "/csv/", "/static/", "/dashboard")):
            continue
        for address in {
            re.sub(r"\{[^}]*\}", SPLITTING, path),
            f"{filled(path, id=job)}?next=/{SPLITTING}&name={SPLITTING}&cursor={SPLITTING}",
        } - {path}:
            if address.split("?")[0].endswith(("/events", "/plots")):
                continue
            with connected(served.url) as connection:
                head = raw(connection, method, address).partition(b"\r\n\r\n")[0].lower()
            assert b"set-cookie: owned" not in head, (method, address)
            assert int(head[9:12]) < 500 or path == "/readyz", (method, address, head)


def test_a_line_end_in_a_header_s_value_is_no_new_header(served: Served) -> None:
    for value in ("a\nX-Owned: 1", "a\rX-Owned: 1", "a\x00b"):
        with connected(served.url) as connection:
            head = f"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {value}\r\n\r\n"
            connection.sendall(head.encode())
            assert b"X-Owned" not in connection.recv(65536)


def test_no_other_header_says_where_the_service_is(served: Served) -> None:
    names = ("X-Forwarded-Host", "X-Host", "X-Original-URL", "X-Rewrite-URL", "Forwarded")
    for path in ("/docs", "/v1/jobs", "/jobs/new"):
        answer = get(f"{served.url}{path}", headers=dict.fromkeys(names, "host=evil.example"))
        assert (answer.status_code, "evil.example" in answer.text) == (200, False)


# --- slow and many ----------------------------------------------------------------------------


def test_hundreds_that_drip_keep_nobody_waiting_and_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 3.0)
    monkeypatch.setattr(limits, "BODY_SECONDS", 3.0)
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    begun = (b"", head + b"X-A: ", head + b"Content-Length: 1000\r\n\r\n{")
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(served.url)) for _ in range(300)]
        for place, connection in enumerate(slow):
            connection.sendall(begun[place % 3])
        assert get(f"{served.url}/v1/jobs").status_code == 200
        assert len(select.select(slow, [], [], 0)[0]) < 300  # it has not waited for their end
        ends = [read(connection)[9:12] for connection in slow]
    assert ends == [b"", b"408", b"408"] * 100


def test_of_1000_event_streams_some_are_refused_and_all_others_are_served(
    served: Served, database: Database
) -> None:
    jobs = [submit(database) for _ in range(5)]
    assert get(f"{served.url}/v1/jobs").status_code == 200
    before = psutil.Process().memory_info().rss
    with ExitStack() as stack:
        answers = []
        for place in range(1000):
            connection = stack.enter_context(connected(served.url))
            address = f"/v1/jobs/{jobs[place % 5]}/events"
            connection.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answers.append(connection.recv(4096))
            if answers[-1].startswith(b"HTTP/1.1 503"):
                assert b"retry-after: " in answers[-1].lower()
                connection.close()
        served_ones = [each.startswith(b"HTTP/1.1 200") for each in answers]
        assert served_ones == [True] * MOST_STREAMS + [False] * (1000 - MOST_STREAMS)
        assert get(f"{served.url}/v1/jobs").status_code == 200
        assert psutil.Process().memory_info().rss - before < 100 * 2**20
    wait_until(lambda: opens(f"{served.url}/v1/jobs/{jobs[0]}/events"), 20)


def opens(address: str) -> bool:
    with httpx.stream("GET", address, timeout=60) as answer:
        return answer.status_code == 200
