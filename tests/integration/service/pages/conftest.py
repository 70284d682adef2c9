"""A service with jobs in every state, one of them really answered; tests leave them so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import chromium
from pages import NASTY, job_in
from serving import serve
from submitting import submit_resolved

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.settings import Settings
from workers.loop.worker import Worker

if TYPE_CHECKING:
    from playwright.sync_api import Browser

STATES = ("queued", "running", "paused", "failed", "cancelled")


@dataclass(frozen=True)
class Shown:
    """A running service, its database, and a job of each state by its id."""

    url: str
    database: Database
    jobs: dict[str, str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for all visits of a file."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The service; the answered job's name is as nasty as can be."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(sqlite_template, folder / "ridgeway.db")
    url = f"sqlite:///{folder / 'ridgeway.db'}"
    settings = Settings(data=folder, database_url=url)  # type: ignore[arg-type]
    database = Database(url)
    answered = submit_resolved(
        database,
        dataset="diabetes",
        name=NASTY,
        model={"kind": "linear"},
        search={"penalty": ["none", "l1", "l2"]},
        trials=12,
    )
    worker = Worker(database, Store.of(settings), settings, "worker", "cpu")
    while worker.work_once():
        pass
    # Each is claimed by itself: the queued one comes last.
    jobs = {state: job_in(database, state, name=f"is {state}") for state in reversed(STATES)}
    with serve(settings) as served:
        yield Shown(served.url, database, {"succeeded": answered, **jobs})
    database.close()
