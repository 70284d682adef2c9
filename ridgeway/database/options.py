"""Options of connections, and of the engines that make them."""

from __future__ import annotations

from dataclasses import dataclass

WAIT = "ridgeway_wait"  # of a connection that may write: the seconds that it waits for a lock


@dataclass(frozen=True)
class Manner:
    """How an engine behaves: what ridgeway.database.engine.Database is told."""

    wait_seconds: float
    hurried: bool
    connections: int
    pooled: bool
