"""A job's events as they come (server-sent events, HTML's section 9.2)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast, get_args

import httpx

from ridgeway.client.refusals import problem_of, transport_reason
from ridgeway.errors import NothingThere, RidgewayError, Unreachable

EventKind: TypeAlias = Literal["progress", "best", "warning", "state", "end"]

AWAY_SECONDS = 60.0  # a service that is restarted within this time is waited for
PAUSE_SECONDS = 0.5
NOTHING_LEFT = 204
SILENT_SECONDS = 40.0  # the service shows every ten seconds that it is there


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job.

    data: of `progress` and `best` as in the job, of `warning` its `text`, of `state` and `end` the
    `state`.
    """

    kind: EventKind
    data: dict[str, Any]


def follow(http: httpx.Client, path: str, url: str) -> Iterator[JobEvent]:
    """Yield the events of an address until `end`, going on where a connection broke off.

    Raises what the service refuses, and Unreachable when it is away for long.
    """
    seen = _Seen()
    patience = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            for event in _read(http, path, url, seen):
                yield event
                patience = time.monotonic() + AWAY_SECONDS
                if event.kind == "end":
                    return
            if seen.whole:
                return
            problem: RidgewayError = Unreachable(f"The service at {url} ended the stream.")
        except httpx.TransportError as error:
            message = f"No Ridgeway service answers at {url} ({transport_reason(error)})."
            problem = NothingThere(message)
        except Unreachable as error:
            problem = error
        if time.monotonic() > patience:
            raise problem
        time.sleep(PAUSE_SECONDS)


@dataclass
class _Seen:
    """What has come: the last event's id, and whether that was all there is."""

    last_id: str = ""
    whole: bool = False


def _read(http: httpx.Client, path: str, url: str, seen: _Seen) -> Iterator[JobEvent]:
    headers = {"Accept": "text/event-stream"}
    if seen.last_id:
        headers["Last-Event-ID"] = seen.last_id
    timeout = httpx.Timeout(SILENT_SECONDS, connect=http.timeout.connect)
    with http.stream("GET", path, headers=headers, timeout=timeout) as response:
        if not response.is_success:
            response.read()
            problem: RidgewayError = problem_of(response, url)
            raise problem
        if response.status_code == NOTHING_LEFT:
            seen.whole = True
            return
        yield from _events(response.iter_lines(), seen)


def _events(lines: Iterator[str], seen: _Seen) -> Iterator[JobEvent]:
    """Parse a stream; an event that is cut off, or of a kind unknown to us, is left out."""
    current = _Fields()
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            current.take(name, value.removeprefix(" "))
            continue
        if current.id is not None:
            seen.last_id = current.id
        if current.kind in get_args(EventKind):
            data: Any = json.loads("\n".join(current.data))
            yield JobEvent(cast("EventKind", current.kind), data)
        current = _Fields()


@dataclass
class _Fields:
    """The fields of an event that is coming."""

    kind: str = ""
    data: list[str] = field(default_factory=list[str])
    id: str | None = None

    def take(self, name: str, value: str) -> None:
        """Take a field; comments and others mean nothing to us."""
        if name == "event":
            self.kind = value
        elif name == "data":
            self.data.append(value)
        elif name == "id":
            self.id = value
