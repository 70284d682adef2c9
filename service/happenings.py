"""What there is to tell of a job at a moment, in events, and what of it a reader has seen.

now = happenings_of(look.body)
now.since(Seen.of(last_event_id))  # bytes of a stream: what is new to that reader
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

from fastapi.sse import format_sse_event

from ridgeway.views import ENDED

_ID = re.compile(r"([0-9a-f]{12})\.([0-9a-f]{12})\.([0-9a-f]{12})\.([0-9]{1,6})(\.end)?")


@dataclass(frozen=True)
class Seen:
    """What a reader has seen of a job: digests of its parts, how many warnings, and its end."""

    progress: str = ""
    best: str = ""
    state: str = ""
    warnings: int = 0
    to_the_end: bool = False

    @classmethod
    def of(cls, last_id: str | None) -> Seen:
        """Read the id of an event; nothing seen where there is none, or it is none of ours."""
        found = _ID.fullmatch(last_id or "")
        if found is None:
            return cls()
        return cls(found[1], found[2], found[3], int(found[4]), found[5] is not None)

    @property
    def id(self) -> str:
        """Return the id of the event that shows the last of it."""
        end = ".end" if self.to_the_end else ""
        return f"{self.progress}.{self.best}.{self.state}.{self.warnings}{end}"


@dataclass(frozen=True)
class Happenings:
    """A job at a moment: the data of its events, as JSON; `end`: of the last event, if any."""

    progress: str
    best: str | None
    state: str
    warnings: tuple[str, ...]
    end: str | None
    seen: Seen  # by whoever has been told all of this

    @property
    def ended(self) -> bool:
        """Return True where nothing is left to come."""
        return self.end is not None

    def since(self, before: Seen) -> bytes:
        """Return the events for a reader who has seen that much; the last one carries the id."""
        if before == Seen():
            return self._all
        return _written(self._events(before), self.seen.id)

    @cached_property
    def _all(self) -> bytes:
        return _written(self._events(Seen()), self.seen.id)

    def _events(self, before: Seen) -> list[tuple[str, str]]:
        events: list[tuple[str, str]] = []
        if before.progress != self.seen.progress:
            events.append(("progress", self.progress))
        if before.best != self.seen.best and self.best is not None:
            events.append(("best", self.best))
        # Fewer than were seen: they are another life's of the job.
        first = before.warnings if before.warnings <= len(self.warnings) else 0
        events += [("warning", text) for text in self.warnings[first:]]
        if before.state != self.seen.state:
            events.append(("state", self.state))
        if self.end is not None:
            events.append(("end", self.end))
        return events


def happenings_of(body: bytes) -> Happenings:
    """Return what there is to tell of a job, from its JSON."""
    job: dict[str, Any] = json.loads(body)
    progress, best = job["progress"], job["best"]
    names = ("state", "error", "waiting", "started_at", "finished_at")
    state = {name: job[name] for name in names}
    state["verdict"] = _sentence(job["recommended"])
    # Those that stay: why nobody takes the job comes and goes, as a part of its state.
    told = [text for text in job["warnings"] if text != job["waiting"]]
    warnings = tuple(_json({"text": text}) for text in told)
    ended = job["state"] in ENDED
    return Happenings(
        _json(progress),
        None if best is None else _json(best),
        _json(state),
        warnings,
        _json({"state": job["state"]}) if ended else None,
        # The time that is left alone is no news: it follows from the rest and the clock.
        Seen(
            _digest({**progress, "eta_seconds": None}),
            _digest(best),
            _digest(state),
            len(warnings),
            ended,
        ),
    )


def _sentence(answer: Any) -> str | None:
    verdict = None if answer is None else answer["verdict"]
    return None if verdict is None else verdict["sentence"]


def deleted(before: Happenings) -> Happenings:
    """Return what there is to tell of a job that is gone."""
    seen = replace(before.seen, to_the_end=True)
    return replace(before, end=_json({"state": "deleted"}), seen=seen)


def _written(events: list[tuple[str, str]], last_id: str) -> bytes:
    """Write events; the last one's id says that its reader has seen all of them."""
    ids = [None] * (len(events) - 1) + [last_id]
    return b"".join(
        format_sse_event(event=name, data_str=data, id=id)
        for (name, data), id in zip(events, ids, strict=False)
    )


def _digest(part: Any) -> str:
    return blake2b(json.dumps(part).encode(), digest_size=6).hexdigest()


def _json(part: Any) -> str:
    """Return JSON in one line, as an event holds it."""
    return json.dumps(part, ensure_ascii=False, separators=(",", ":"))
