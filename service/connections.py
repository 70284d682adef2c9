"""Connections: how many there may be, and how long one may take to ask and to read its answer.

uvicorn waits for ever for a request's head of any length, and for a client that does not read. How
long a body may take is service/limits.py's matter.

httptools refuses by itself what two readers could take for different requests: lengths that
contradict each other or the chunks, line ends and blanks where they don't belong.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from functools import cache

import httptools
from fastapi import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.problems import RETRY_AFTER_SECONDS, problem
from service.refusing import refuse

MOST_CONNECTIONS = 1000
SPARE_DESCRIPTORS = 100  # for the database, the store, uploads and the dashboard
HEAD_SECONDS = 20.0  # for a request's head, from the connection or from its first byte
HEAD_BYTES = 64 * 1024  # of a request's head, or of what stands between the parts of its body
PIECE_BYTES = 16 * 1024  # read at once: so far a head may exceed its limit unnoticed
MOST_PIPELINED = 100  # requests of a connection that wait for the answer to another
ANSWER_SECONDS = 60.0  # for a client to take some 50 kB of its answer
STOPPING = "stopping"  # in the lifespan's state: what ends the answers that go on by themselves
SILENT_SECONDS = 60.0  # between what is said of descriptors that have run out


class Connection(HttpToolsProtocol):
    """A connection that is closed when it takes too long, and answered 503 when it is too many.

    The first `most_connections()` are served. As many again are told to come back; further ones
    are closed at once, so that descriptors do not run out.
    """

    parser: httptools.HttpRequestParser
    _head_due: asyncio.TimerHandle | None = None
    _answer_due: asyncio.TimerHandle | None = None
    _in_head = False
    _in_vain = 0  # bytes that have come since the last of which anything could be made
    _deaf = False

    # --- the connection's life ----------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        beside = len(self.connections) - 1
        if beside >= 2 * most_connections():
            transport.abort()
            return
        if beside >= most_connections():
            self.app = _busy
        _forget_the_unreachable(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        for start in range(0, len(data), PIECE_BYTES):
            if self._deaf or self.transport.is_closing():
                return
            self._read(data[start : start + PIECE_BYTES])
        self._watch_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer_due is None:
            self._answer_due = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._answer_due = _cancelled(self._answer_due)

    def shutdown(self) -> None:
        """Have what streams without end come to its end; all else finishes by itself."""
        if (end := self.app_state.get(STOPPING)) is not None:
            end()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head_due = _cancelled(self._head_due)
        self._answer_due = _cancelled(self._answer_due)

    # --- what the parser finds ----------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._in_vain = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # after the body: no middleware has seen it
        value = value.rstrip(b" \t")
        super().on_header(name, value)
        if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
            raise ValueError("Unknown `Transfer-Encoding`")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._in_vain = 0
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise ValueError("HTTP/1.0 and HTTP/1.1 are spoken here")
        before = self.cycle
        super().on_headers_complete()
        if version == "1.0" and self.cycle is not before:
            _end_with_the_connection(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._in_vain = 0
        super().on_body(body)

    def _should_upgrade(self) -> bool:
        """Have the parser's finds ignored until the head is read again, without its `Upgrade`."""
        return True

    # --- reading and refusing -----------------------------------------------------------------

    def _read(self, piece: bytes) -> None:
        self._in_vain += len(piece)
        try:
            while piece:
                piece = self._parse(piece)
        except httptools.HttpParserError as error:
            reason = error.__context__ or error
            self._refuse(problem(400, f"What came is no HTTP request: {reason}."))
        if self._in_vain > HEAD_BYTES:
            self._refuse(problem(431, f"The request's head is larger than {HEAD_BYTES} bytes."))
        if len(self.pipeline) > MOST_PIPELINED:
            self.transport.abort()

    def _parse(self, piece: bytes) -> bytes:
        """Parse a piece; what is left to parse, where a request wants another protocol.

        It is answered by this one (RFC 9110, section 7.8). The parser takes no body after such a
        head and would take the body for the next request.
        """
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            method = self.parser.get_method()
            if method == b"CONNECT":
                raise httptools.HttpParserError("CONNECT is for proxies") from None
            version = self.parser.get_http_version().encode()
            lines = [
                b"%b %b HTTP/%b" % (method, self.url, version),
                *(b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"),
            ]
            return b"\r\n".join([*lines, b"", piece[upgrade.args[0] :]])
        return b""

    def _refuse(self, response: Response) -> None:
        """Answer what can't be read, as no more can be read after it, and close.

        Not while an earlier request waits for its answer, as it would be taken for that.
        """
        self._deaf = True
        cycle = self.cycle
        if not cycle or cycle.response_complete:
            self._answer(response)
        elif not cycle.more_body:
            cycle.keep_alive = False  # it closes when the requests before have been answered
        elif self.pipeline or cycle.response_started:
            self.transport.close()
        else:
            self._answer(response)

    def _watch_head(self) -> None:
        """Set a time for the next request's head, unless one is set or a request is at work."""
        if self.cycle and not self.cycle.response_complete:
            self._head_due = _cancelled(self._head_due)
        elif self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._in_head and not self.transport.is_closing():
            self._answer(problem(408, f"The request's head took more than {HEAD_SECONDS:g} s."))
        self.transport.close()

    def _answer(self, response: Response) -> None:
        """Write an answer where no request has been read, and close."""
        headers = [*response.raw_headers, (b"connection", b"close")]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(
            b"%b%b\r\n%b" % (STATUS_LINE[response.status_code], head, response.body)
        )
        self.transport.close()


def _end_with_the_connection(cycle: RequestResponseCycle) -> None:
    """Send an answer without chunks, which HTTP/1.0 does not know; uvicorn closes after it."""
    send = cycle.send

    async def send_plainly(message: Message) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)  # type: ignore[arg-type]

    cycle.chunked_encoding = False
    cycle.send = send_plainly  # type: ignore[method-assign]


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    detail = f"The service has more than {most_connections()} connections; try again."
    response = problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    await refuse(response, receive, send)


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _forget_the_unreachable(transport: asyncio.Transport) -> None:
    """Let the kernel end a connection on whose other side nobody has taken anything for long.

    `pause_writing` sees only what does not fit into its buffers.
    """
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        milliseconds = int(ANSWER_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


# --- descriptors ------------------------------------------------------------------------------


def raise_descriptors() -> None:
    """Take as many descriptors as this process may have; most shells grant 1,024 at first."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most_connections.cache_clear()


@cache
def most_connections() -> int:
    """Return how many connections are served at once."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MOST_CONNECTIONS, (descriptors - SPARE_DESCRIPTORS) // 2))


class OneComplaint(logging.Filter):
    """Says once a minute, in a line, that there was no descriptor for a connection.

    asyncio logs a traceback for each attempt, two thousand a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.getMessage().startswith("socket.accept() out of system resource"):
            return True
        if time.monotonic() < self._silent_until:
            return False
        self._silent_until = time.monotonic() + SILENT_SECONDS
        record.msg = "No descriptors are left for further connections; they wait (see ulimit -n)."
        record.args = record.exc_info = record.exc_text = None
        return True
