"""How long a supervisor waits before it starts a crashed process again."""

from __future__ import annotations

from ridgeway.host.supervisor import Backoff


def test_pauses_double_from_half_a_second_to_thirty() -> None:
    backoff = Backoff()
    pauses = [backoff.pause(lived_seconds=1.0) for _ in range(8)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_minute_of_health_forgives_earlier_crashes() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.pause(lived_seconds=1.0)
    assert backoff.pause(lived_seconds=60.0) == 0.5
    assert backoff.pause(lived_seconds=59.9) == 1.0
