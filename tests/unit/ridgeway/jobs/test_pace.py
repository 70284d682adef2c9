"""The estimate of what is left, beside the truth of a simulated job."""

from __future__ import annotations

import pytest

from ridgeway.jobs.pace import seconds_left

PROBING, PER_TRIAL, TRIALS = 62.0, 3.0, 40  # seconds, seconds, trials


def seen(at: float, told_every: float) -> float | None:
    """What a client reads at a time whose worker tells of its work every so many seconds."""
    told = PROBING + told_every * ((at - PROBING) // told_every)
    done = min(TRIALS, (told - PROBING) / PER_TRIAL)
    return seconds_left(done, TRIALS, PROBING, told) if told > PROBING else None


@pytest.mark.parametrize("told_every", [1.0, 10.0])
def test_the_estimate_is_there_with_the_first_news_and_off_by_no_more_than_their_distance(
    told_every: float,
) -> None:
    ends = PROBING + PER_TRIAL * TRIALS
    assert seen(PROBING, told_every) is None
    for tenth in range(10 * int(PROBING + told_every), 10 * int(ends)):
        at = tenth / 10
        estimate = seen(at, told_every)
        assert estimate is not None
        assert -1e-6 <= estimate - (ends - at) < told_every + 1e-6


def test_the_estimate_of_a_steady_job_never_climbs() -> None:
    estimates = [seen(PROBING + 10 + second, 10.0) for second in range(int(PER_TRIAL * TRIALS) - 9)]
    assert estimates == sorted(estimates, reverse=True)
    assert estimates[0] == pytest.approx(PER_TRIAL * TRIALS - 10)
    assert estimates[-1] == 0


def test_nothing_is_estimated_of_nothing() -> None:
    assert seconds_left(0, 10, 5.0, 50.0) is None
    assert seconds_left(0.0, 10, 5.0, 5.0) is None
