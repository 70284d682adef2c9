"""Which part of a job a worker takes, beside others that are faster or slower."""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import jobs
from ridgeway.fleet import is_live, live_workers
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import (
    LAGGING,
    Pace,
    last_size,
    pace_of,
    path_population_size,
    population_size,
    share_of_pace,
)
from ridgeway.jobs.stored import read_plan, stored_kind

NEWS_SECONDS = 10.0  # that a job is left to faster workers without news of them: they may be gone
SHORT_SECONDS = 30.0  # what GPUs end within this they end before a CPU's worker would help
MOST_SHARERS = 32  # that a job's end is shared among; with more left, a claim counts no workers


def next_size(transaction: Connection, row: Row[Any], left: int, claimant: Claimant) -> int:
    """Return how many of the trials that are left the worker takes; 0 leaves them to others."""
    pace = claimant.known.paces.get(row.id, Pace())
    sizes = claimant.sizes.measured(pace.together)
    is_path = stored_kind(row.spec) == "path"
    if is_path:
        size = min(left, path_population_size(row.trials, sizes))
    else:
        size = min(left, population_size(row.trials, sizes, row.populations))
    share = share_of_pace(row, pace)
    fair = left if share is None else left * share
    if left >= MOST_SHARERS * size and fair >= size and pace.rate is not None:
        return size
    workers = live_workers(transaction, claimant.lease_seconds)
    if workers <= 1:
        return size
    if pace.rate is None and not is_path:  # it may be slower than the others by far
        size = min(size, sizes.first)
    if share is not None and share * workers < LAGGING:
        waits = 0 if _has_news(transaction, row) else 1
        return min(size, max(math.floor(fair), waits))
    return last_size(size, left, workers, sizes.first)


def not_left_to_gpus(claimant: Claimant) -> sa.ColumnElement[bool]:
    """Select the jobs that a claim looks at: a CPU's leaves out new ones of GPUs.

    Else a flood of new ones would be locked, one by one, by a worker that takes none of them.
    """
    if claimant.device != "cpu":
        return sa.true()
    no_gpu = ~sa.exists().where(is_live(claimant.lease_seconds, "cuda"))
    return (jobs.c.populations > 0) | (jobs.c.created_at <= now() - NEWS_SECONDS) | no_gpu


def left_to_gpus(transaction: Connection, row: Row[Any], claimant: Claimant) -> bool:
    """Return True where a CPU would only delay a job that GPUs are about to train, or to end."""
    plan = read_plan(row.plan)
    if claimant.device != "cpu" or (plan is not None and plan.device == "cpu"):
        return False
    pace = pace_of(row)
    if pace is None:
        due = current_time(transaction) < row.created_at + NEWS_SECONDS
    else:
        short = row.trials - row.complete - row.pruned - row.failed < pace * SHORT_SECONDS
        due = short and _has_news(transaction, row)
    return due and live_workers(transaction, claimant.lease_seconds, "cuda") > 0


def lags(transaction: Connection, row: Row[Any], claimant: Claimant) -> bool:
    """Return True while others train the job's trials several times faster than the worker."""
    share = share_of_pace(row, claimant.known.paces.get(row.id, Pace()))
    if share is None or share >= LAGGING or not _has_news(transaction, row):
        return False
    return share * live_workers(transaction, claimant.lease_seconds) < LAGGING


def _has_news(transaction: Connection, row: Row[Any]) -> bool:
    """Return True where a population of the job has ended in the last seconds."""
    return row.told_at is not None and row.told_at > current_time(transaction) - NEWS_SECONDS
