"""Workers of the tests' own process that die in mid-work."""

from __future__ import annotations

import pytest

from ridgeway.database.engine import Database
from ridgeway.jobs import holding
from workers.loop.worker import Worker


class Killed(BaseException):
    """As abrupt as a process's death: nothing is handed back."""


def lose(database: Database, worker: Worker) -> None:
    """Let it work until it dies; its supervisor notices."""
    with pytest.raises(Killed):
        worker.work_once()
    with database.transaction() as transaction:
        holding.expire_leases(transaction, worker.id)
