"""`ridgeway keys`, `ridgeway audit`, and services that do not start without a key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from click.testing import CliRunner, Result
from keyed import make_key

from ridgeway.cli import main
from ridgeway.cli.keys import Duration
from ridgeway.database.engine import Database
from ridgeway.database.schema import alembic_config, require_schema
from ridgeway.database.tables import api_keys
from ridgeway.errors import SchemaMismatch
from ridgeway.host.supervisor import Supervisor
from ridgeway.keys.keys import prefix_of, usable_keys

DATABASE = ("", "-wal", "-shm")  # how SQLite's files end


def ridgeway(*arguments: str) -> Result:
    """What a command says; its work on the database is a process of its own."""
    return CliRunner().invoke(main, arguments)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Commands set the process's own."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def data(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data folder with a database in it."""
    shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
    return tmp_path


def test_a_key_is_made_listed_and_revoked_and_the_log_says_so(tmp_path: Path, capfd):
    data = ["--data", str(tmp_path / "data")]
    made = ridgeway("keys", "create", "Ann's", "--expires", "90d", "--max-open-jobs", "3", *data)
    assert made.exit_code == 0
    key = made.stdout.strip()
    prefix = prefix_of(key)
    assert prefix is not None
    assert key not in made.stderr
    database = Database(f"sqlite:///{tmp_path / 'data' / 'ridgeway.db'}")
    with database.reading() as transaction:
        assert usable_keys(transaction)[prefix].fits(key)
    database.close()
    assert [path for path in (tmp_path / "data").iterdir() if path.stat().st_mode & 0o077] == []
    listed = ridgeway("keys", "list", *data).stdout
    assert all(word in listed for word in (prefix, "Ann's", "3 open jobs", "submit"))
    assert key[12:] not in listed
    assert ridgeway("keys", "revoke", f"rw_{prefix}", *data).exit_code == 0
    log = json.loads(ridgeway("audit", "--since", "1h", "--json", *data).stdout)
    assert [(each["actor"], each["action"], each["object"]) for each in log] == [
        ("local", "keys revoke", prefix),
        ("local", "keys create", prefix),
    ]
    assert capfd.readouterr().err == ""  # of migrations, too


def test_what_a_key_weighs_is_told_changed_and_written_down(tmp_path: Path, capfd):
    data = ["--data", str(tmp_path / "data")]
    prefix = prefix_of(ridgeway("keys", "create", "Ann's", "--weight", "4", *data).stdout.strip())
    assert prefix is not None

    def weights() -> list[int]:
        return [
            each["weight"] for each in json.loads(ridgeway("keys", "list", "--json", *data).stdout)
        ]

    assert weights() == [4]
    assert ridgeway("keys", "weight", f"rw_{prefix}", "2", *data).exit_code == 0
    assert weights() == [2]
    log = json.loads(ridgeway("audit", "--json", *data).stdout)
    assert (log[0]["action"], log[0]["object"]) == ("keys weight 2", prefix)
    assert ridgeway("keys", "weight", "ffffffff", "2", *data).exit_code == 2
    assert "There is no key 'ffffffff'." in capfd.readouterr().err
    for weight in ("0", "1001", "1.5"):
        done = ridgeway("keys", "weight", prefix, weight, *data)
        assert done.exit_code == 2
        assert weight in done.output


def test_without_a_key_the_list_says_so(tmp_path: Path):
    data = ("--data", str(tmp_path / "data"))
    made = ridgeway("keys", "create", "me", *data)
    assert made.exit_code == 0
    database = Database(f"sqlite:///{tmp_path / 'data' / 'ridgeway.db'}")
    with database.transaction() as transaction:
        transaction.execute(sa.delete(api_keys))
    database.close()
    assert ridgeway("keys", "list", *data).stdout == "There are no keys yet.\n"


def test_to_look_makes_nothing(tmp_path: Path, capfd):
    assert ridgeway("audit", "--data", str(tmp_path / "none")).exit_code == 2
    told = capfd.readouterr().err
    assert f"no such file as {tmp_path / 'none' / 'ridgeway.db'}: --data" in told
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("given", ["90", "d", "0d", "-1d", "1y", "9999999w", "1.5h", "\u0661d"])
def test_what_is_no_duration_is_bad_input(given):
    done = CliRunner().invoke(main, ["keys", "create", "me", "--expires", given])
    assert (done.exit_code, "90d, 12h or 2w" in done.output) == (2, True)


def test_durations_are_as_they_are_written():
    seconds = {text: Duration().convert(text, None, None).total_seconds() for text in ("30m", "2w")}
    assert seconds == {"30m": 1800, "2w": 14 * 86400}


def test_serve_on_another_address_refuses_without_a_key_and_leaves_no_folder(tmp_path: Path):
    folder = tmp_path / "data"
    done = ridgeway("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(folder))
    assert done.exit_code == 2
    assert f"ridgeway keys create NAME --scope admin --data {folder}" in done.stderr
    assert "--insecure" in done.stderr
    assert not folder.exists()


def test_serve_refuses_where_no_key_is_usable(data: Path, monkeypatch, capfd):
    monkeypatch.setenv("RIDGEWAY_REQUIRE_KEYS", "true")
    assert ridgeway("serve", "--data", str(data), "--port", "0").exit_code == 2
    assert "RIDGEWAY_REQUIRE_KEYS is set" in capfd.readouterr().err
    locks = {"serve.lock", "ridgeway.db.serve.lock", "ridgeway.db.migrating"}
    files = {f"ridgeway.db{end}" for end in DATABASE}
    assert {path.name for path in data.iterdir()} <= files | locks


def test_serve_brings_its_folder_up_to_date_before_it_asks_for_keys(data: Path, monkeypatch):
    database = Database(f"sqlite:///{data / 'ridgeway.db'}")
    make_key(database, "admin")
    config = alembic_config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0011")
    with pytest.raises(SchemaMismatch):
        require_schema(database)
    monkeypatch.setenv("RIDGEWAY_REQUIRE_KEYS", "true")
    monkeypatch.setattr(Supervisor, "run", lambda _: 0)  # it would start
    assert ridgeway("serve", "--data", str(data), "--port", "0").exit_code == 0
    require_schema(database)
    database.close()


def service(data: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "service", "--port", "0", *arguments]
    environment = os.environ | {"RIDGEWAY_DATA": str(data)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], words: str) -> str:
    """What a service says until it has said these words, or ends."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if words in line:
            break
    return told


def test_a_service_on_another_address_starts_with_a_key_or_when_told(data: Path):
    with service(data, "--host", "0.0.0.0") as refused:
        assert "there is no usable key" in said(refused, "no usable key")
        assert refused.wait(30) == 2
    assert not (data / "store").exists()
    with service(data, "--host", "0.0.0.0", "--insecure") as running:
        assert "whoever reaches 0.0.0.0 may do everything" in said(running, "no key is asked")
        running.terminate()
    database = Database(f"sqlite:///{data / 'ridgeway.db'}")
    make_key(database, "read")
    database.close()
    with service(data, "--host", "0.0.0.0") as running:
        assert "every request needs a key" in said(running, "needs a key")
        running.terminate()
