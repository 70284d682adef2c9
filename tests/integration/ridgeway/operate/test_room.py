"""`ridgeway gc` deletes what nobody needs, says what, and leaves what is at work."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from invariants import check_deleted
from submitting import submit

from ridgeway.cli import main
from ridgeway.data.store import Store
from ridgeway.database.clock import now
from ridgeway.database.tables import jobs as job_table
from ridgeway.host import scratch
from ridgeway.jobs import claiming, lifecycle
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.words import DAY_SECONDS

CLAIMANT = Claimant("w", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 64), 3600.0, 5)


@pytest.fixture
def gc(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command, on a data folder and a database."""
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", database_url)
    monkeypatch.setattr(scratch.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["gc", "--data", str(tmp_path), *arguments])

    return run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def put(store: Store, key: str, data: bytes, hours_ago: float = 24.0) -> str:
    store.put(key, data)
    at = time.time() - 3600 * hours_ago
    os.utime(Path(store._root) / key, (at, at))
    return key


def counted(result: Result) -> dict[str, tuple[int, int]]:
    assert result.exit_code == 0, result.output
    return {each["kind"]: (each["count"], each["bytes"]) for each in json.loads(result.stdout)}


def test_old_jobs_and_orphans_go_and_a_dry_run_only_tells(gc, database, store, tmp_path):
    old, live = submit(database, name="long ago"), submit(database)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, old)
        at = {"finished_at": now() - 91 * DAY_SECONDS}
        transaction.execute(sa.update(job_table).where(job_table.c.id == old).values(at))
    put(store, f"jobs/{old}/1-1/model.safetensors", b"weights")
    put(store, f"jobs/{live}/9-9/model.safetensors", b"lost")
    put(store, f"jobs/{live}/checkpoints/9-9-{'a' * 64}.safetensors", b"half")
    put(store, f"datasets/{'b' * 64}.parquet", b"rows!")
    dead = tmp_path / "tmp" / f"{scratch.PREFIX}dead"
    dead.mkdir()
    (dead / "part").write_bytes(b"abc")
    (tmp_path / "rows").mkdir()
    for name, hours_ago in (("old", 25), ("young", 23)):
        rows, at = tmp_path / "rows" / f"{name}.npy", time.time() - 3600 * hours_ago
        rows.write_bytes(b"matrix")
        os.utime(rows, (at, at))
    expected = {
        "jobs": (1, 7),
        "models": (1, 4),
        "checkpoints": (1, 4),
        "data sets": (1, 5),
        "unfinished uploads": (0, 0),
        "files of rows": (1, 6),
        "scratch": (1, 3),
    }
    asked = ("--older-than", "90d", "--json")
    assert counted(gc(*asked, "--dry-run")) == expected
    assert dead.exists()
    assert len(store.entries("jobs")) == 3
    assert counted(gc(*asked)) == expected
    check_deleted(database, [old])
    assert not store.entries("jobs")
    assert not store.entries("datasets")
    assert not dead.exists()
    assert [path.stem for path in (tmp_path / "rows").iterdir()] == ["young"]
    assert set(counted(gc(*asked)).values()) == {(0, 0)}


def test_what_is_at_work_stays(gc, database, store):
    job_id = submit(database)
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
    assert lease is not None
    held = put(store, f"jobs/{job_id}/{lease.id}-{lease.fence}/model.safetensors", b"now", 1000)
    fresh = put(store, f"datasets/{'b' * 64}.parquet", b"an upload is at this", 0.5)
    with scratch.scratch_folder() as folder:
        assert set(counted(gc("--json", "--older-than", "12h")).values()) == {(0, 0)}
        assert folder.exists()
    assert store.exists(held)
    assert store.exists(fresh)


def test_jobs_stay_unless_an_age_is_given(gc, database, monkeypatch):
    job_id = submit(database)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
        transaction.execute(sa.update(job_table).values(finished_at=1.0))
    assert counted(gc("--json"))["jobs"] == (0, 0)
    monkeypatch.setenv("RIDGEWAY_KEEP_JOBS_DAYS", "1")
    result = gc()
    assert (result.exit_code, f"jobs: {job_id}" in result.stdout) == (0, True)
    assert "1 jobs, 0 checkpoints" in result.stdout


@pytest.mark.parametrize("age", ["90", "d", "-1d", "1e9d", "90 days"])
def test_an_age_that_is_none_is_bad_input(gc, age):
    assert gc("--older-than", age).exit_code == 2


def test_nothing_is_made_where_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("RIDGEWAY_DATABASE_URL", raising=False)
    result = CliRunner().invoke(main, ["gc", "--data", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "holds no ridgeway.db" in result.stderr
    assert not list(tmp_path.iterdir())
