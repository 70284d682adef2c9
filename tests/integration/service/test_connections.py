"""Connections that are slow or too many: each ends in time, and the others are served meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from serving import Served
from talking import connected, problem_of, read
from waiting import wait_until

from ridgeway.host import scratch
from ridgeway.settings import Settings
from service import admission, connections, limits
from service.context import Context

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
UPLOAD = (
    b"POST /v1/datasets?name=%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\na"
)


get = partial(httpx.get, timeout=60)
post = partial(httpx.post, timeout=60)


@pytest.fixture
def service_settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """Nothing is written here, so the template will do."""
    url: Any = f"sqlite:///{sqlite_template}"
    return Settings(data=tmp_path, database_url=url)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files that is nobody else's."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def context_of(served: Served) -> Context:
    assert get(f"{served.url}/healthz").status_code == 200  # it has started
    return served.app.state.context


@contextmanager
def dripping(connection: socket.socket, byte: bytes) -> Iterator[None]:
    """Send the byte ten times a second until the other side closes, or the block ends."""
    ended = threading.Event()

    def drip() -> None:
        try:
            while not ended.wait(0.1):
                connection.sendall(byte)
        except OSError:
            pass

    thread = threading.Thread(target=drip)
    thread.start()
    yield
    ended.set()
    thread.join()


# --- slow ones --------------------------------------------------------------------------------


def test_a_head_that_drips_is_a_408(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with connected(served.url) as connection:
        connection.sendall(HEAD + b"X: ")
        with dripping(connection, b"x"):
            assert problem_of(read(connection))["status"] == 408
        assert get(f"{served.url}/healthz").status_code == 200


def test_the_second_head_of_a_connection_may_drip_no_longer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(served.url) as connection:
        connection.sendall(HEAD + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
        connection.sendall(HEAD + b"X: ")
        with dripping(connection, b"x"):
            assert problem_of(read(connection))["status"] == 408


def test_a_connection_that_says_nothing_is_closed_without_a_word(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with connected(served.url) as connection:
        assert read(connection) == b""


@pytest.mark.parametrize(
    "rest", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
def test_a_body_that_drips_is_a_408(
    served: Served, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.5)
    drop = b"1\r\n \r\n" if b"chunked" in rest else b" "
    with connected(served.url) as connection:
        connection.sendall(POST + rest)
        with dripping(connection, drop):
            assert problem_of(read(connection))["status"] == 408


def test_a_body_that_comes_steadily_may_take_longer(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.5)
    body = b'{"dataset": ' + b" " * 20_000
    with connected(served.url) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 2_000):  # 20 kB/s for a second
            connection.sendall(body[start : start + 2_000])
            threading.Event().wait(0.1)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")  # the body's end is missing


def test_a_body_that_nobody_reads_can_not_hold_a_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    with connected(served.url) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        with dripping(connection, b" "):
            assert read(connection).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_takes_none_of_its_answer_is_let_go(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 1.0)
    server = served_by(served)
    with connected(served.url) as connection:
        for _ in range(connections.MOST_PIPELINED):  # some 15 MB of answers
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: server() > 0)
        wait_until(lambda: server() == 0, 30)


def test_a_client_that_asks_on_without_waiting_for_answers_is_let_go(served: Served) -> None:
    many = (HEAD + b"\r\n") * 1_000 * connections.MOST_PIPELINED
    with connected(served.url) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        connection.sendall(many)
    assert get(f"{served.url}/healthz").status_code == 200


def served_by(served: Served) -> Callable[[], int]:
    """How many connections of this process's service are open."""
    port = urlsplit(served.url).port

    def count() -> int:
        return sum(
            each.status == psutil.CONN_ESTABLISHED and each.laddr[1] == port
            for each in psutil.Process().net_connections("tcp")
        )

    return count


def test_what_is_no_http_is_a_problem(served: Served) -> None:
    with connected(served.url) as connection:
        connection.sendall(b"EHLO localhost\r\n\r\n")
        assert problem_of(read(connection))["status"] == 400


# --- too many of them -------------------------------------------------------------------------


def test_a_connection_too_many_is_told_to_come_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 5)
    connections.most_connections.cache_clear()
    try:
        with ExitStack() as stack:
            idle = [stack.enter_context(connected(served.url)) for _ in range(5)]
            answer = get(f"{served.url}/healthz")
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            for connection in idle:  # those that came first are served
                connection.sendall(HEAD + b"\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            more = [stack.enter_context(connected(served.url)) for _ in range(6)]
            assert read(more[-1]) == b""  # as many again, and no more
        wait_until(lambda: get(f"{served.url}/healthz").status_code == 200)
    finally:
        connections.most_connections.cache_clear()


def test_an_upload_too_many_is_told_at_once_to_come_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MOST_UPLOADS", 3)
    uploads = context_of(served).scratch
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(served.url)).sendall(UPLOAD % b"waits")
        wait_until(lambda: len(list(uploads.iterdir())) == 3)
        answer = post(f"{served.url}/v1/datasets?name=more", content=b"a,b\n" * 2**18)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert get(f"{served.url}/v1/jobs").status_code == 200
    wait_until(lambda: list(uploads.iterdir()) == [])
    answer = post(f"{served.url}/v1/datasets?name=more", content=b"no table")
    assert answer.status_code == 422


def test_uploads_may_come_to_take_so_much_of_the_disk_and_no_more(served: Served) -> None:
    largest = context_of(served).settings.max_upload_bytes
    head = b"POST /v1/datasets?name=l HTTP/1.1\r\nHost: localhost\r\n"
    uploads = context_of(served).scratch
    with ExitStack() as stack:
        for length in (b"Content-Length: %d" % largest, b"Transfer-Encoding: chunked") * 2:
            stack.enter_context(connected(served.url)).sendall(head + length + b"\r\n\r\n")
        wait_until(lambda: len(list(uploads.iterdir())) == admission.MOST_LARGEST)
        answer = post(f"{served.url}/v1/datasets?name=more", content=b"a,b\n1,2\n")
        assert answer.status_code == 503


# --- in a process of its own ------------------------------------------------------------------


@contextmanager
def running(
    settings: Settings, log: Path, descriptors: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`python -m service`, perhaps with few descriptors, and where it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "RIDGEWAY_DATA": str(settings.data),
        "RIDGEWAY_DATABASE_URL": settings.resolved_database_url(),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "service", "--port", str(port)],
            env=os.environ | environment,
            stderr=output,
        )
    if descriptors is not None:  # before it has come as far as to look
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url), 60)
        yield process, url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_connections_beyond_the_descriptors_leave_a_service_that_serves_and_a_short_log(
    service_settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running(service_settings, log, descriptors=160) as (process, url), ExitStack() as stack:
        idle = [stack.enter_context(connected(url)) for _ in range(400)]
        wait_until(lambda: psutil.Process(process.pid).num_fds() > 90)
        idle[0].sendall(HEAD + b"\r\n")  # it came first
        assert idle[0].recv(65536).startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: read(idle[-1]) == b"")
        stack.close()
        wait_until(lambda: answers(url))
        assert log.stat().st_size < 5_000, log.read_text()[:5_000]


def test_a_service_takes_all_the_descriptors_that_it_may_have(
    service_settings: Settings, tmp_path: Path
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.prlimit(0, resource.RLIMIT_NOFILE, (256, hard))
    try:
        with running(service_settings, tmp_path / "log") as (process, _):
            assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_a_killed_service_left_is_swept_and_what_a_living_one_has_is_not(
    service_settings: Settings, tmp_path: Path, temporary: Path
) -> None:
    def unfinished() -> list[Path]:
        return [path for path in temporary.glob(f"{scratch.PREFIX}*/*") if path.is_file()]

    with ExitStack() as stack:
        killed, url = stack.enter_context(running(service_settings, tmp_path / "killed.log"))
        stack.enter_context(connected(url)).sendall(UPLOAD % b"lost")
        [orphan] = wait_until(unfinished)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert orphan.exists()
        living = stack.enter_context(running(service_settings, tmp_path / "living.log"))[1]
        assert unfinished() == []
        assert not orphan.parent.exists()
        stack.enter_context(connected(living)).sendall(UPLOAD % b"going")
        [going] = wait_until(unfinished)
        with running(service_settings, tmp_path / "next.log"):
            assert unfinished() == [going]
    assert list(temporary.iterdir()) == []
