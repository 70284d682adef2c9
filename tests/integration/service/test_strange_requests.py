"""Requests that a client would hardly send: each is one request, or refused with what is wrong."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.responses import StreamingResponse
from serving import Served, serve
from talking import connected, problem_of, read

from ridgeway.settings import Settings
from service.connections import HEAD_BYTES

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
BAD_JOB = b'{"dataset": 1}'  # 422


@pytest.fixture(scope="module")
def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all; nothing is written here, so the template will do."""
    url: Any = f"sqlite:///{sqlite_template}"
    with serve(Settings(data=tmp_path_factory.mktemp("data"), database_url=url)) as running:
        running.app.add_api_route("/streamed", lambda: StreamingResponse(iter(["ab", "", "cd"])))
        yield running


def told(served: Served, *parts: bytes) -> bytes:
    """Send the parts, each by itself, and no more; what comes back until the other side closes."""
    with connected(served.url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:  # it may have closed before
            pass
        return read(connection)


def statuses(said: bytes) -> list[int]:
    """The statuses of the answers; none of their bodies holds what looks like one."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


LAST = GET + b"Connection: close\r\n\r\n"


# --- ambiguous ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}",
        b"Content-Length: 2, 4\r\n\r\n{}",
        b"Content-Length: +2\r\n\r\n{}",
        b"Content-Length: 0x2\r\n\r\n{}",
        b"Content-Length:\r\n\r\n{}",
        b"Content-Length : 2\r\n\r\n{}",
        b"Content-Length: 18446744073709551618\r\n\r\n{}",
        b"Transfer-Encoding: identity\r\n\r\n{}",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"X: a\nContent-Length: 2\r\n\r\n{}",
        b"X: a\rContent-Length: 2\r\n\r\n{}",
        b"X: a\r\n folded\r\n\r\n",
        b"X: a\r\n\n",
        b"X: a\x00b\r\n\r\n",
        b"X\x00: a\r\n\r\n",
        b": a\r\n\r\n",
        b"X\r\n\r\n",
    ],
)
def test_a_head_that_two_readers_could_understand_in_two_ways_is_a_400(
    served: Served, rest: bytes
) -> None:
    said = told(served, POST + rest + LAST)
    assert problem_of(said)["status"] == 400
    assert statuses(said) == [400]


@pytest.mark.parametrize(
    "body",
    [
        b"1\na\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"-1\r\na\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\nab0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFFF\r\na\r\n0\r\n\r\n",
    ],
)
def test_chunks_that_are_none_are_a_400(served: Served, body: bytes) -> None:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(told(served, head + body + LAST)) == [400]


@pytest.mark.parametrize(
    "line",
    [
        b"GET /healthz HTTP/1.1\n",
        b"GET /healthz HTTP/1.1 \r\n",
        b"GET /healthz HTTP/1.2\r\n",
        b"GET /healthz HTTP/2.0\r\n",
        b"GET /healthz HTTP/0.9\r\n",
        b"GET /healthz\r\n",
        b"get /healthz HTTP/1.1\r\n",
        b"GET /a\x00b HTTP/1.1\r\n",
        b"GET healthz HTTP/1.1\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
    ],
)
def test_a_first_line_that_is_none_is_a_400(served: Served, line: bytes) -> None:
    assert statuses(told(served, line + HOST + b"\r\n" + LAST)) == [400]


def test_what_is_no_http_behind_a_request_does_not_take_its_answer(served: Served) -> None:
    said = told(served, GET + b"\r\n" + GET + b"\r\n" + b"EHLO localhost\r\n\r\n")
    assert statuses(said) == [200, 200]


def test_a_header_after_the_body_is_none(served: Served) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(told(served, head + b"0\r\n" + HOST + b"\r\n")) == [400]


# --- too long ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"GET /", b"x" * 1_000),
        (GET + b"X: ", b"x" * 1_000),
        (GET, b"x: y\r\n" * 200),
        (b"", b"\r\n" * 500),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x" * 1_000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 200),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 1_000),
    ],
)
def test_what_does_not_come_to_an_end_is_a_431(served: Served, begun: bytes, more: bytes) -> None:
    parts = [more] * (2 * HEAD_BYTES // len(more))
    assert statuses(told(served, begun, *parts)) == [431]


def test_a_long_head_is_heard(served: Served) -> None:
    filling = b"X: %b\r\n" % (b"x" * (HEAD_BYTES - 200))
    assert statuses(told(served, GET + filling + b"Connection: close\r\n\r\n")) == [200]


def test_a_head_behind_a_long_body_is_not_too_long(served: Served) -> None:
    body = BAD_JOB + b" " * 300_000
    said = told(served, POST + b"Content-Length: %d\r\n\r\n" % len(body), body + LAST)
    assert statuses(said) == [422, 200]


# --- rare ones that are in order --------------------------------------------------------------


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(served: Served) -> None:
    post = POST + b"Content-Length: %d\r\n\r\n" % len(BAD_JOB) + BAD_JOB
    missing = b"GET /v1/jobs/1 HTTP/1.1\r\n" + HOST + b"\r\n"
    assert statuses(told(served, missing + post + GET + b"\r\n" + LAST)) == [404, 422, 200, 200]


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_another_protocol_is_declined_and_the_body_is_a_body(
    served: Served, upgrade: bytes
) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: A\r\n" % upgrade
    post = POST + wish + b"Content-Length: %d\r\n\r\n" % len(GET + b"\r\n")
    said = told(served, GET + wish + b"\r\n" + post, GET + b"\r\n" + LAST)
    assert statuses(said) == [200, 400, 200]  # the one in the body is no JSON, and no request


def test_a_body_that_waits_to_be_asked_for_is_asked_for(served: Served) -> None:
    length = b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BAD_JOB)
    with connected(served.url) as connection:
        connection.sendall(POST + b"Connection: close\r\n" + length)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BAD_JOB)
        assert problem_of(read(connection))["status"] == 422


def test_http_1_0_is_answered_without_chunks(served: Served) -> None:
    said = told(served, b"GET /streamed HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n")
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"abcd"


def test_an_answer_to_head_has_no_body(served: Served) -> None:
    head = b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    said = told(served, head + head + LAST)
    first, _, rest = said.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 ")
    assert rest.startswith(b"HTTP/1.1 ")
    assert statuses(said)[-1] == 200


def test_blanks_behind_a_value_are_no_part_of_it(served: Served) -> None:
    line = b"GET /healthz HTTP/1.1\r\nHost: localhost \t\r\nConnection: close\r\n\r\n"
    assert statuses(told(served, line)) == [200]
