"""A store that is away is asked seldom, and work in hand waits for it no longer than it must."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from ridgeway.data.store import Store
from ridgeway.errors import StoreAway, StoreRefuses
from ridgeway.jobs.leases import Lease
from workers.heeding import heeding
from workers.loop import store_outage
from workers.loop.control import Stopping, Withdrawn
from workers.loop.persistence import Persistence
from workers.loop.store_outage import LONGEST_PAUSE_SECONDS, SAME_SECONDS, StoreOutage

LEASE = Lease(1, "answer", "job", 1, {}, None, None, 0, 0, None, 1)


@dataclass
class Elsewhere:
    """A store that is away until a time, and notes when it was asked; a database that is not."""

    back_at: float
    clock: float = 0.0
    asked: list[float] = field(default_factory=list[float])
    wrote: int = 0

    def probe(self, key: str) -> bool:
        self.asked.append(self.clock)
        if self.clock < self.back_at:
            raise StoreAway("nothing answers", key)
        return True

    def attempt(self, change: Callable[[Any], Any]) -> float:
        self.wrote += 1
        return 1.0


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    made = Elsewhere(back_at=600.0)
    monkeypatch.setattr(store_outage.time, "monotonic", lambda: made.clock)
    return made


def outage_of(elsewhere: Elsewhere, stopping: Any) -> StoreOutage:
    return StoreOutage(
        "w", cast("Store", elsewhere), cast("Persistence", elsewhere), cast("Any", stopping)
    )


class Sleeping:
    """An event that is not set, and waits by the test's clock."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        self._elsewhere = elsewhere

    def wait(self, seconds: float) -> bool:
        self._elsewhere.clock += seconds
        return False


def test_a_store_that_is_away_is_asked_at_growing_intervals_and_noticed_when_it_is_back(elsewhere):
    outage = outage_of(elsewhere, threading.Event())
    assert not outage.lasts()
    assert elsewhere.asked == []
    outage.hand_back(LEASE, StoreAway("nothing answers", "datasets/a"))
    while outage.lasts():
        elsewhere.clock += 0.25  # as an idle worker polls
    pauses = [b - a for a, b in zip([0.0, *elsewhere.asked], elsewhere.asked, strict=False)]
    assert pauses[0] <= 1.25
    assert all(pause <= LONGEST_PAUSE_SECONDS + 0.25 for pause in pauses)
    assert len(pauses) < 600 / (0.8 * LONGEST_PAUSE_SECONDS) + 7
    assert 600.0 <= elsewhere.clock <= 600.0 + LONGEST_PAUSE_SECONDS
    assert not outage.lasts(), "known to be back"
    outage.hand_back(LEASE, StoreAway("no such key may be read", "datasets/a"))
    back = elsewhere.clock
    while outage.lasts():
        elsewhere.clock += 0.25
    assert elsewhere.clock - back > 0.7 * LONGEST_PAUSE_SECONDS, "the same outage goes on"
    back = elsewhere.clock = elsewhere.clock + SAME_SECONDS + 1.0
    outage.hand_back(LEASE, StoreAway("nothing answers", "datasets/a"))
    while outage.lasts():
        elsewhere.clock += 0.25
    assert elsewhere.clock - back <= 1.25, "another"


def test_of_a_store_that_answers_nobody_is_told(elsewhere):
    elsewhere.clock = elsewhere.back_at
    outage = outage_of(elsewhere, Sleeping(elsewhere))
    assert outage.outlast(lambda: elsewhere.probe("a"), LEASE)
    assert elsewhere.wrote == 0


def test_the_wait_ends_when_the_store_answers_the_lease_is_lost_or_the_worker_is_to_stop(
    elsewhere,
):
    elsewhere.back_at = 40.0
    outage = outage_of(elsewhere, Sleeping(elsewhere))
    assert outage.outlast(lambda: elsewhere.probe("a"), LEASE)
    assert elsewhere.wrote == 2, "its begin and its end"
    assert 40.0 <= elsewhere.clock <= 80.0
    elsewhere.back_at = 1e9

    def lost() -> None:
        if elsewhere.clock > 100.0:
            raise Withdrawn()

    with pytest.raises(Withdrawn), heeding(lost):
        outage.outlast(lambda: elsewhere.probe("a"), LEASE)
    assert elsewhere.clock < 103.0
    elsewhere.clock, elsewhere.back_at = 200.0, 150.0
    assert not outage.lasts()
    assert elsewhere.wrote == 4, "its end is told, though nobody waited for it"
    elsewhere.back_at = 1e9
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Stopping):
        outage_of(elsewhere, stopping).outlast(lambda: elsewhere.probe("a"), LEASE)


def refuse() -> bytes:
    raise StoreAway("permission denied", "datasets/a", reading=True)


def full() -> bytes:
    raise StoreAway("no room", "datasets/a")


def test_what_a_store_that_answers_cannot_read_is_not_waited_for(elsewhere):
    outage = outage_of(elsewhere, Sleeping(elsewhere))
    with pytest.raises(StoreAway) as met:
        outage.told_apart(refuse)
    assert not isinstance(met.value, StoreRefuses), "the store is away"
    assert len(elsewhere.asked) == 1
    with pytest.raises(StoreRefuses, match="permission denied"):
        outage.outlast(refuse, LEASE)
    assert elsewhere.clock >= elsewhere.back_at, "as long as it was away"
    assert elsewhere.wrote == 2, "the outage's begin and its end"
    assert not outage.lasts(), "others' data are read"
    asked = len(elsewhere.asked)
    with pytest.raises(StoreAway) as met:
        outage.told_apart(full)
    assert not isinstance(met.value, StoreRefuses)
    assert len(elsewhere.asked) == asked, "there may be room for a probe, and for no more"


def test_what_could_be_read_the_next_time_was_no_fault(elsewhere):
    elsewhere.clock = elsewhere.back_at
    begun = elsewhere.clock
    outage = outage_of(elsewhere, Sleeping(elsewhere))
    assert outage.told_apart(lambda: b"abc" if elsewhere.clock > begun else refuse()) == b"abc"
