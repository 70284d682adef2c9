"""The learning rate over time, as a factor of the trial's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ridgeway.spec.spec import JobSpec

SETTLING = 0.1  # of the trial's learning rate, after a cosine


def factors(spec: JobSpec, first_step: int, count: int, steps_per_epoch: int) -> Sequence[float]:
    """Return the factor of the step before `first_step` (counted from 0), then `count` factors.

    The first W = warmup_epochs * steps_per_epoch steps rise linearly: step t has (t + 1) / W. After
    them `cosine` falls as (1 + cos(π (t - W) / (T - W))) / 2 over the T steps of the whole training
    (Loshchilov & Hutter 2017, without restarts); `constant` stays 1. Steps beyond the training are
    settling's: a cosine has come down to nothing there, so they take a tenth.
    """
    warmup, total = spec.warmup_epochs * steps_per_epoch, spec.epochs * steps_per_epoch
    return [
        _factor(spec.schedule, max(0, step), warmup, total)
        for step in range(first_step - 1, first_step + count)
    ]


def _factor(schedule: str, step: int, warmup: int, total: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    if step >= total:
        return SETTLING
    return (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2
