"""SQLite's file can't be written for a while, and then it can: everybody goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.fleet import live_workers

# root may write into any file, unless this is taken away from it
BOUND_BY_MODES = ("setpriv", "--bounding-set", "-dac_override") if os.getuid() == 0 else ()
ANOTHER_TRY = """
import sys
from sqlalchemy.exc import OperationalError
from ridgeway.database.engine import Database
from ridgeway.database.tables import shared_steps

database = Database(sys.argv[1])
for line in sys.stdin:
    try:
        with database.transaction() as transaction:
            transaction.execute(shared_steps.delete())
        print("written", flush=True)
    except OperationalError as error:
        print(error.orig.sqlite_errorname, error.connection_invalidated, flush=True)
"""


@pytest.fixture
def path(sqlite_template: Path, tmp_path: Path) -> Path:
    """A migrated database file."""
    return Path(shutil.copy(sqlite_template, tmp_path / "ridgeway.db"))


@contextmanager
def started(*arguments: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process for whom a file's mode holds."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*BOUND_BY_MODES, sys.executable, "-P", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def set_mode(path: Path, mode: int) -> None:
    """Set the mode of the database's file, and of the two that SQLite has put beside it."""
    for file in path.parent.glob(f"{path.name}*"):
        file.chmod(mode)


def try_to_write(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_connection_that_was_opened_read_only_is_opened_anew(path, tmp_path):
    set_mode(path, 0o444)
    with started("-c", ANOTHER_TRY, f"sqlite:///{path}", log=tmp_path / "log") as process:
        assert try_to_write(process) == "SQLITE_READONLY True"
        assert try_to_write(process) == "SQLITE_READONLY True"
        set_mode(path, 0o644)
        assert try_to_write(process) == "written"


def test_a_worker_that_began_while_the_database_was_read_only_joins_in_later(
    path, tmp_path, monkeypatch
):
    url, log = f"sqlite:///{path}", tmp_path / "log"
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", url)
    monkeypatch.setenv("RIDGEWAY_DATA", str(tmp_path))
    set_mode(path, 0o444)
    with started("-m", "workers", "--device", "cpu", log=log) as process:
        wait_until(lambda: "readonly database" in log.read_text(), 120)
        set_mode(path, 0o644)
        database = Database(url)

        def seen() -> int:
            with database.reading() as transaction:
                return live_workers(transaction, 60)

        assert wait_until(seen) == 1
        database.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
