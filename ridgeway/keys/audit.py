"""The audit log: who changed what, when, from where. No key, no cookie and no body is in it.

It is kept for so many days; what is older goes with the service's sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.cursors import INTEGER, Keys
from ridgeway.database.tables import audit
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.overviews import AuditEntry, AuditPage

NEWEST_FIRST = Keys(INTEGER)
DONE = "done"
LONGEST = 200  # characters of an action or an object
SLICE = 1000  # lines that a transaction deletes


@dataclass(frozen=True)
class Visit:
    """A request on its way: who asks for what, from which address."""

    caller: Caller
    action: str
    address: str | None = None


def record(transaction: Connection, visit: Visit, object: str | None, outcome: str = DONE) -> None:
    """Write a line of the log; in the transaction of the change, where there is one."""
    transaction.execute(
        sa.insert(audit).values(
            at=now(),
            key_id=visit.caller.key,
            actor=visit.caller.prefix,
            action=_kept(visit.action),
            object=None if object is None else _kept(object),
            outcome=outcome,
            address=visit.address,
        )
    )


def _kept(text: str) -> str:
    """Return a text as a column holds it: PostgreSQL takes no NUL, and no column all of it."""
    return text.replace("\x00", "")[:LONGEST]


def record_command(transaction: Connection, action: str, object: str) -> None:
    """Write down what a command did on the database itself."""
    record(transaction, Visit(LOCAL, action), object)


def has_old_lines(transaction: Connection, seconds: float) -> bool:
    """Return True where a line of the log is so old or older."""
    oldest = sa.select(sa.func.min(audit.c.at) <= now() - seconds)
    return bool(transaction.execute(oldest).scalar())


def delete_old_lines(transaction: Connection, seconds: float) -> int:
    """Delete a slice of the lines that are so old or older; return how many that were."""
    old = sa.select(audit.c.id).where(audit.c.at <= now() - seconds).order_by(audit.c.at)
    return transaction.execute(sa.delete(audit).where(audit.c.id.in_(old.limit(SLICE)))).rowcount


def list_audit(
    transaction: Connection,
    *,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int,
) -> AuditPage:
    """List the log, newest first; only what was written since a moment, if one is given."""
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
    if since is not None:
        # A moment that was told is rounded to a microsecond.
        query = query.where(audit.c.at >= since.timestamp() - 1e-6)
    if cursor is not None:
        query = query.where(audit.c.id < NEWEST_FIRST.place(cursor)[0])
    rows = transaction.execute(query).all()
    page = rows[:limit]
    more = len(rows) > limit
    return AuditPage(
        entries=[_entry(row) for row in page],
        next=NEWEST_FIRST.cursor([page[-1].id]) if more else None,
    )


def _entry(row: sa.Row[Any]) -> AuditEntry:
    return AuditEntry(
        at=datetime.fromtimestamp(row.at, UTC),
        actor=row.actor,
        action=row.action,
        object=row.object,
        outcome=row.outcome,
        address=row.address,
    )
