"""Clients by the hundred in one process that is cheap: canned requests, and heads alone are read.

They share the machine with the service that they measure, so what they cost is told as well.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

COMPLETE = re.compile(rb'"complete":(\d+)')
CONNECT_SECONDS = 0.5
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_TAG = re.compile(rb"\r\netag: ([^\r]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Crowd:
    """Who looks at a job: `rate` looks a second at even times, or each again at once without one.

    url: the service's. path: the job's. streams: readers of its events, beside the pollers.
    """

    url: str
    path: str
    pollers: int
    seconds: float
    rate: float | None = None
    streams: int = 0

    def meet(self) -> Seen:
        """Look and listen for as long as is asked for."""
        return asyncio.run(self._meet())

    async def _meet(self) -> Seen:
        seen = Seen()
        listening = [asyncio.create_task(self._listen(seen)) for _ in range(self.streams)]
        start = time.perf_counter() + CONNECT_SECONDS
        polling = [self._poll(number, start, seen) for number in range(self.pollers)]
        processor = time.process_time()
        await asyncio.gather(*polling)
        seen.processor_seconds = time.process_time() - processor
        for task in listening:
            task.cancel()
        for outcome in await asyncio.gather(*listening, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome
        return seen

    def _head(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\n".encode()

    async def _poll(self, number: int, start: float, seen: Seen) -> None:
        """Ask as `Client.wait` does: over one connection, for what has changed, compressed."""
        head = self._head(self.path) + b"Accept-Encoding: gzip, deflate\r\n"
        place = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        transport, poller = await loop.create_connection(
            lambda: _Poller(head), place.hostname, place.port
        )
        due, end = start + (number / self.rate if self.rate else 0.0), start + self.seconds
        await asyncio.sleep(due - time.perf_counter())
        while max(due, time.perf_counter()) < end:
            asked = time.perf_counter()
            await poller.ask()
            answered = time.perf_counter()
            seen.looks.append(answered - (due if self.rate else asked))
            if self.rate:
                seen.lags.append(asked - due)
                due += self.pollers / self.rate
                await asyncio.sleep(due - answered)
        transport.close()

    async def _listen(self, seen: Seen) -> None:
        place = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            writer.write(self._head(f"{self.path}/events") + b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            while True:
                line = await reader.readline()
                assert line, "the stream has ended"
                if (found := COMPLETE.search(line)) is not None:
                    seen.told.append((int(found[1]), time.perf_counter()))
        finally:
            writer.close()


@dataclass
class Seen:
    """What the clients have seen; times are of `time.perf_counter`, one for all processes."""

    looks: list[float] = field(default_factory=list[float])  # seconds, since due or asked
    lags: list[float] = field(default_factory=list[float])  # seconds, from due until asked
    told: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])  # by streams
    processor_seconds: float = 0.0  # of all pollers and readers


def percentile(seconds: Sequence[float], part: float) -> float:
    """Return what so many percent of the times don't exceed, in milliseconds."""
    return 1000 * sorted(seconds)[int(part / 100 * len(seconds))]


class _Poller(asyncio.Protocol):
    """One connection, and the entity tag of what it has brought last."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._tag = b'""'
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def ask(self) -> None:
        """Ask, and wait for the answer's last byte."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%bIf-None-Match: %b\r\n\r\n" % (self._head, self._tag))
        await self._answer

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(b"\r\n\r\n")
        if not end:
            return
        assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")), head
        length, tag = _LENGTH.search(head), _TAG.search(head)
        if len(body) < (int(length[1]) if length else 0):
            return
        assert tag is not None, head
        self._tag, self._came = tag[1], b""
        self._answer.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the service hung up"))
