"""Measurements of a device by workers, so that the next one need not."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.tables import shared_steps


def remembered_together(transaction: Connection, shape: str, device: str) -> int | None:
    """Return how many members should share a step of such a model on such a device, if known."""
    query = sa.select(shared_steps.c.together).where(
        shared_steps.c.shape == shape, shared_steps.c.device == device
    )
    return transaction.execute(query).scalar_one_or_none()


def remember_together(transaction: Connection, shape: str, device: str, together: int) -> None:
    """Record how many members should share a step; the last measurement counts."""
    insert = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    found = {"together": together, "measured_at": now()}
    statement = insert(shared_steps).values(shape=shape, device=device, **found)
    transaction.execute(
        statement.on_conflict_do_update(index_elements=["shape", "device"], set_=found)
    )
