"""What a key may have at a time. Asked in the transaction that makes more of it.

The key's row is locked meanwhile, so that two requests at once don't both find room. Where a job's
row is locked as well, it is so before.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import KEPT, api_keys, datasets, jobs
from ridgeway.errors import LimitReached
from ridgeway.keys.caller import Caller

OPEN_STATES = ("queued", "running", "paused")


def require_room_for_job(transaction: Connection, caller: Caller, trials: int) -> None:
    """Raise LimitReached unless the key may have one more open job, of so many trials."""
    most = caller.limits.open_jobs
    if most is not None:
        _lock(transaction, caller)
        has = _count(transaction, caller, sa.func.count())
        if has >= most:
            raise LimitReached(
                f"The key {caller.prefix} may have {most:,} jobs open at a time and has {has:,}: "
                "wait until one has ended, or cancel one."
            )
    require_room_for_trials(transaction, caller, trials)


def require_room_for_trials(transaction: Connection, caller: Caller, more: int) -> None:
    """Raise LimitReached unless the key's open jobs may have so many more trials."""
    most = caller.limits.trials
    if most is None:
        return
    _lock(transaction, caller)
    has = _count(transaction, caller, sa.func.sum(jobs.c.trials))
    if has + more > most:
        raise LimitReached(
            f"The key {caller.prefix} may have {most:,} trials in its open jobs together; they "
            f"have {has:,}, so {max(0, most - has):,} more are accepted, not {more:,}."
        )


def require_room_for_bytes(transaction: Connection, caller: Caller, more: int) -> None:
    """Raise LimitReached unless the key's data sets may have so many more bytes."""
    most = caller.limits.bytes
    if most is None:
        return
    _lock(transaction, caller)
    own = KEPT & (datasets.c.owner == caller.key)
    query = sa.select(sa.func.sum(datasets.c.bytes)).where(own)
    has = int(transaction.execute(query).scalar() or 0)
    if has + more > most:
        raise LimitReached(
            f"The key {caller.prefix} may have {most:,} bytes of data; it has {has:,}, so "
            f"{max(0, most - has):,} more are accepted, not {more:,}."
        )


def _count(transaction: Connection, caller: Caller, what: sa.ColumnElement[Any]) -> int:
    open_ = (jobs.c.owner == caller.key) & jobs.c.state.in_(OPEN_STATES)
    found = transaction.execute(sa.select(what).select_from(jobs).where(open_)).scalar()
    return int(found or 0)


def _lock(transaction: Connection, caller: Caller) -> None:
    this = api_keys.c.id == caller.key
    transaction.execute(sa.select(api_keys.c.id).where(this).with_for_update())
