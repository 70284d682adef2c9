"""`ridgeway doctor` finds what is wrong, says what to do, never hangs, and makes nothing."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections import namedtuple
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from submitting import end_on_deleted, submit

from ridgeway import fleet
from ridgeway.cli import main
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts
from ridgeway.operate import database_checks, doctor, machine_checks
from ridgeway.operate.findings import Finding, Place, ok
from ridgeway.settings import Settings

Usage = namedtuple("Usage", "free")
SLOW = {"compiler", "gpu"}  # they import torch
QUICK = {name: check for name, check in doctor.CHECKS.items() if name not in SLOW}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith("RIDGEWAY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def looked(database: Database, database_url: str, tmp_path: Path, monkeypatch):
    """What doctor finds, by check, of a migrated database with a worker and a store."""
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", database_url)
    tmp_path.chmod(0o700)
    (tmp_path / "store").mkdir()
    with database.transaction() as transaction:
        models, datasets = frozenset({"mlp", "linear"}), frozenset({"digits"})
        own = version("ridgeway")
        record = fleet.WorkerRecord("w", "gpu-1", 1, "cpu", own, models, datasets)
        fleet.record_worker(transaction, record)

    def look() -> dict[str, Finding]:
        return {finding.check: finding for finding in doctor.diagnose(tmp_path, QUICK)}

    return look


def test_all_is_well_but_for_a_service_that_is_not_there(looked):
    found = looked()
    assert list(found) == list(QUICK), "in the order of the list"
    wrong = {name for name, finding in found.items() if finding.status != "ok"}
    assert wrong <= {"service", "disk", "store"}, found
    assert "1 alive on gpu-1" in found["workers"].sentence
    assert all(finding.remedy for finding in found.values() if finding.status != "ok")


def test_a_service_is_found_by_what_serve_wrote(looked, served, tmp_path):
    (tmp_path / "serve.json").write_text(json.dumps({"url": served.url, "pid": 1}))
    assert looked()["service"] == Finding(
        check="service", status="ok", sentence=f"the service at {served.url} is ready"
    )


def test_another_release_s_schema_fails(looked, database):
    with database.transaction() as transaction:
        transaction.execute(sa.text("UPDATE ridgeway_version SET version_num = '0001'"))
    found = looked()["schema"]
    assert found.status == "fail"
    assert "0001" in found.sentence
    assert "take a backup first" in (found.remedy or "")


def test_a_file_that_is_named_and_missing_fails(looked, database, tmp_path):
    job_id = submit(database)
    address = f"jobs/{job_id}/1-1/model.safetensors"
    row = {"job_id": job_id, "name": "model.safetensors", "address": address}
    with database.transaction() as transaction:
        kept = sa.insert(artifacts).values(**row, checksum="0", bytes=1, created_at=1.0)
        transaction.execute(kept)
    assert (looked()["files"].status, address in looked()["files"].sentence) == ("fail", True)
    Store(str(tmp_path / "store")).put(address, b"x")
    assert looked()["files"].status == "ok"


def test_the_file_of_a_deleted_data_set_is_not_missed(looked, database, tmp_path):
    end_on_deleted(database, Store(str(tmp_path / "store")), tmp_path)
    assert looked()["files"].status == "ok"


def test_a_store_that_takes_nothing_fails_and_a_probe_leaves_nothing(looked, tmp_path):
    assert looked()["store"].status != "fail"
    assert not list((tmp_path / "store").iterdir())
    (tmp_path / "store").rmdir()
    (tmp_path / "store").touch()
    assert looked()["store"].status == "fail"


def test_a_store_that_is_not_there_is_told_where_it_was_named(looked, tmp_path, monkeypatch):
    (tmp_path / "store").rmdir()
    assert looked()["store"].status == "ok", "it comes with the first file"
    monkeypatch.setenv("RIDGEWAY_STORE_URL", str(tmp_path / "elsewhere"))
    assert looked()["store"].status == "warn"
    assert not (tmp_path / "elsewhere").exists()


def test_the_cache_is_looked_at_where_the_store_is_elsewhere(tmp_path, monkeypatch):
    def look(free: int, cache: Path = tmp_path / "cache", **settings: object) -> Finding:
        monkeypatch.setattr(machine_checks.shutil, "disk_usage", lambda _: Usage(free))
        known = {"data": tmp_path, "store_url": "memory://store", "cache": cache, **settings}
        return machine_checks.check_cache(Place(Settings(**known), None))

    assert look(10, store_url=None) == ok("not needed: the store is a folder")
    assert look(30 * 10**9).status == "ok"
    cache = tmp_path / "cache"
    assert not cache.exists(), "nothing is made by looking"
    cache.mkdir()
    (cache / ("a" * 64)).write_bytes(b"copy")
    found = look(30 * 10**9, cache_bytes=30 * 10**9 + 4)
    assert found.status == "ok"
    assert "holds 4 bytes of 30.0 GB at most; 30.0 GB are free" in found.sentence
    found = look(30 * 10**9, cache_bytes=31 * 10**9)
    assert (found.status, "RIDGEWAY_CACHE_BYTES" in (found.remedy or "")) == ("warn", True)
    assert look(10).status == "fail"
    found = look(30 * 10**9, cache / ("a" * 64) / "below")
    assert (found.status, f"{'a' * 64} can't be written" in found.sentence) == ("fail", True)


def test_workers_of_other_releases_and_jobs_in_vain_are_told(looked, database):
    job_id = submit(database, model={"kind": "lab"})
    with database.transaction() as transaction:
        transaction.execute(sa.text("UPDATE workers SET version = '0.0.9'"))
    found = looked()
    assert (found["workers"].status, found["jobs"].status) == ("warn", "warn")
    assert "0.0.9" in found["workers"].sentence
    assert f"job {job_id}" in found["jobs"].sentence
    assert "lacks the model 'lab'" in found["jobs"].sentence
    with database.transaction() as transaction:
        fleet.mark_gone(transaction)
    assert looked()["workers"].status == "fail"


def test_a_clock_that_is_wrong_is_told(looked, monkeypatch):
    theirs = database_checks.current_time
    monkeypatch.setattr(database_checks, "current_time", lambda look: theirs(look) + 100)
    assert "s behind the database's" in looked()["clock"].sentence
    assert looked()["clock"].status == "warn"


def test_a_variable_that_is_no_setting_is_told_with_the_likely_one(looked, monkeypatch):
    monkeypatch.setenv("RIDGEWAY_LEASE_SECOND", "3")
    assert "RIDGEWAY_LEASE_SECOND (perhaps RIDGEWAY_LEASE_SECONDS)" in looked()["settings"].sentence


def test_a_secret_in_a_file_is_a_setting(looked, tmp_path, monkeypatch):
    (tmp_path / "key").write_text("rw_something")
    monkeypatch.setenv("RIDGEWAY_API_KEY_FILE", str(tmp_path / "key"))
    assert looked()["settings"].status == "ok"


def test_what_others_may_read_is_told(looked, tmp_path):
    (tmp_path / "store").chmod(0o755)
    assert looked()["privacy"].status == "ok", "the folder above lets nobody in"
    tmp_path.chmod(0o755)
    assert looked()["privacy"].status == "warn"
    (tmp_path / "store").chmod(0o700)
    if (tmp_path / "ridgeway.db").exists():
        (tmp_path / "ridgeway.db").chmod(0o600)
        for beside in tmp_path.glob("ridgeway.db-*"):
            beside.chmod(0o600)
    assert looked()["privacy"].status == "ok"


def test_a_check_that_breaks_or_hangs_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LIMIT_SECONDS", 0.3)
    for_ever = threading.Event()

    def hang(place: Place) -> Finding:
        for_ever.wait(30)
        return ok("late")

    def break_off(place: Place) -> Finding:
        raise KeyError("x")

    checks = {"hangs": hang, "breaks": break_off, "works": lambda place: ok("well")}
    found = doctor.diagnose(tmp_path, checks)
    for_ever.set()
    assert [finding.status for finding in found] == ["fail", "fail", "ok"]
    assert "no answer within" in found[0].sentence
    assert "KeyError" in found[1].sentence


def test_nothing_is_made_by_looking(tmp_path):
    found = doctor.diagnose(tmp_path / "none", QUICK)
    assert {finding.status for finding in found} <= {"ok", "warn"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("RIDGEWAY_LEASE_SECONDS", "soon", "RIDGEWAY_LEASE_SECONDS"),
        ("RIDGEWAY_DATABASE_URL", "mysql://x/y", "must be sqlite:///FILE or postgresql"),
    ],
)
def test_settings_that_can_not_be_are_a_finding(tmp_path, monkeypatch, variable, value, told):
    monkeypatch.setenv(variable, value)
    (found,) = doctor.diagnose(tmp_path, QUICK)
    assert (found.check, found.status) == ("settings", "fail")
    assert told in found.sentence


def test_a_database_that_is_away_is_exit_code_1_and_no_password_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("ridgeway.operate.doctor.diagnose.__defaults__", (None, QUICK))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        monkeypatch.setenv("RIDGEWAY_DATABASE_URL", f"postgresql://me:secret@127.0.0.1:{port}/x")
        result = CliRunner().invoke(main, ["doctor", "--data", str(tmp_path), "--json"])
    assert result.exit_code == 1
    found = {each["check"]: each for each in json.loads(result.stdout)}
    assert found["database"]["status"] == "fail"
    assert "can't be reached" in found["database"]["sentence"]
    assert found["settings"]["status"] == "ok"
    assert "secret" not in result.output


def test_a_failover_that_would_lose_something_is_told(database, postgres_server, monkeypatch):
    if database.embedded:
        pytest.skip("SQLite has no replica")
    url = sa.engine.make_url(postgres_server)
    host = url.query["host"]
    several = f"postgresql://{url.username}@/{database.url.database}?host={host},{host}"
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", several)
    (found,) = doctor.diagnose(None, {"database": database_checks.check_database})
    assert (found.status, "a failover may lose it" in found.sentence) == ("warn", True), found
    with database.engine.connect() as connection:  # as a standby's sessions are
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()
        found = database_checks._postgresql(connection, several=False)
    assert (found.status, "is read-only" in found.sentence) == ("fail", True), found
