"""How long a job still takes, from what workers have told of it."""

from __future__ import annotations


def seconds_left(done: float, trials: int, begun: float, told: float) -> float | None:
    """Return how long the rest of the budget takes at the pace so far; None before anything is.

    done: trials, in parts of trials. begun: when training began, after the first worker had
    probed and timed. told: when workers last told of it. Since then nothing is known: to count the
    time on would have the estimate climb between any two heartbeats, and fall with each.
    """
    if done <= 0:
        return None
    return max(0.0, told - begun) / done * (trials - done)
