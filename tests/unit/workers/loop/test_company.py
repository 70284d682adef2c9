"""How often a worker asks the database, alone and in a fleet."""

from __future__ import annotations

import pytest

from workers.loop import company
from workers.loop.company import LONGEST_POLL_SECONDS, QUESTIONS, Company


@pytest.mark.parametrize("workers", [1, 2, 16, 50])
def test_a_small_fleet_asks_as_if_each_were_alone(workers: int) -> None:
    fleet = Company(workers)
    assert 0.2 <= fleet.poll_seconds(0.25) <= 0.3
    assert fleet.look_seconds(1.0, 10.0) == 1.0


@pytest.mark.parametrize("workers", [100, 1_000, 10_000])
def test_a_large_one_asks_no_more_than_its_share(workers: int) -> None:
    fleet = Company(workers)
    pauses = [fleet.poll_seconds(0.25) for _ in range(100)]
    longest = 1.2 * LONGEST_POLL_SECONDS
    assert max(pauses) <= longest
    if workers <= QUESTIONS * LONGEST_POLL_SECONDS:
        assert workers / min(pauses) <= QUESTIONS / 0.8
    assert len(set(pauses)) > 50  # not in step
    assert workers / fleet.look_seconds(1.0, 1e9) <= QUESTIONS
    assert fleet.look_seconds(1.0, 10.0) <= 10.0  # a renewal looks too


def test_what_was_asked_for_is_never_undercut() -> None:
    assert Company(10_000).poll_seconds(60.0) >= 48.0
    assert Company().look_seconds(1.0, 0.5) == 0.5


def test_workers_are_counted_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([7, 0, 9])
    monkeypatch.setattr(company, "live_workers", lambda transaction, within: next(counts))
    clock = [100.0]
    monkeypatch.setattr(company.time, "monotonic", lambda: clock[0])
    fleet = Company()
    seen = []
    for _ in range(4):
        fleet.count(None, 30.0)  # type: ignore[arg-type]
        seen.append(fleet.workers)
        clock[0] += 0.6 * company.COUNT_SECONDS
    assert seen == [7, 7, 1, 1]  # whoever asks is one of them
