"""`ridgeway keys`, `ridgeway audit`, and services that do not start without a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from keyed import make_key

from ridgeway.cli import main
from ridgeway.cli.keys import Duration
from ridgeway.database.engine import Database
from ridgeway.keys.keys import prefix_of, usable_keys


def ridgeway(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command, run as a user runs it."""
    command = [sys.executable, "-P", "-m", "ridgeway", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_a_key_is_made_listed_and_revoked_and_the_log_says_so(tmp_path: Path):
    data = ["--data", str(tmp_path / "data")]
    made = ridgeway("keys", "create", "Ann's", "--expires", "90d", "--max-open-jobs", "3", *data)
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    prefix = prefix_of(key)
    assert prefix is not None
    assert key not in made.stderr
    assert "alembic" not in made.stderr
    database = Database(f"sqlite:///{tmp_path / 'data' / 'ridgeway.db'}")
    with database.reading() as transaction:
        assert usable_keys(transaction)[prefix].fits(key)
    database.close()
    assert [path for path in (tmp_path / "data").iterdir() if path.stat().st_mode & 0o077] == []
    listed = ridgeway("keys", "list", *data)
    assert [word in listed.stdout for word in (prefix, "Ann's", "3 open jobs", key)] == [
        True
    ] * 3 + [False]
    assert ridgeway("keys", "revoke", prefix, *data).returncode == 0
    [told] = json.loads(ridgeway("keys", "list", "--json", *data).stdout)
    assert (told["usable"], told["scope"], "hash" in told) == (False, "submit", False)
    log = json.loads(ridgeway("audit", "--since", "1h", "--json", *data).stdout)
    assert [(each["actor"], each["action"], each["object"]) for each in log] == [
        ("local", "keys revoke", prefix),
        ("local", "keys create", prefix),
    ]
    gone = ridgeway("keys", "revoke", "ffffffff", *data)
    assert (gone.returncode, "no key 'ffffffff'" in gone.stderr) == (2, True)


def test_to_look_makes_nothing(tmp_path: Path):
    for command in (["keys", "list"], ["audit"]):
        done = ridgeway(*command, "--data", str(tmp_path / "none"))
        assert (done.returncode, "no such file" in done.stderr) == (2, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("given", ["90", "d", "0d", "-1d", "1y", "9999999w", "1.5h", "\u0661d"])
def test_what_is_no_duration_is_bad_input(given):
    done = CliRunner().invoke(main, ["keys", "create", "me", "--expires", given])
    assert (done.exit_code, "90d, 12h or 2w" in done.output) == (2, True)


def test_durations_are_as_they_are_written():
    seconds = {text: Duration().convert(text, None, None).total_seconds() for text in ("30m", "2w")}
    assert seconds == {"30m": 1800, "2w": 14 * 86400}


def test_serve_on_another_address_refuses_without_a_key_and_leaves_no_folder(tmp_path: Path):
    data = tmp_path / "data"
    done = ridgeway("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(data))
    assert done.returncode == 2
    assert f"ridgeway keys create NAME --scope admin --data {data}" in done.stderr
    assert "--insecure" in done.stderr
    assert "Traceback" not in done.stderr
    assert not data.exists()


def test_serve_refuses_where_every_key_is_revoked(tmp_path: Path, sqlite_template: Path):
    (tmp_path / "ridgeway.db").write_bytes(sqlite_template.read_bytes())
    done = ridgeway("serve", "--data", str(tmp_path), "--port", "0", RIDGEWAY_REQUIRE_KEYS="true")
    assert done.returncode == 2
    assert "RIDGEWAY_REQUIRE_KEYS is set" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"ridgeway.db"}


def service(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "service", "--port", "0", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str], words: str) -> str:
    """What a service says until it has said these words, or ends."""
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if words in line:
            break
    return told


def test_a_service_on_another_address_starts_with_a_key_or_when_told(
    database_url, database, tmp_path
):
    environment = {"RIDGEWAY_DATABASE_URL": database_url, "RIDGEWAY_DATA": str(tmp_path / "data")}
    with service("--host", "0.0.0.0", **environment) as refused:
        assert "there is no usable key" in said(refused, "there is no usable key")
        assert refused.wait(30) == 2
    assert not (tmp_path / "data").exists()
    make_key(database, "read")
    for arguments, words in (
        ([], "every request needs a key"),
        (["--insecure"], "no key is asked"),
    ):
        with service("--host", "0.0.0.0", *arguments, **environment) as running:
            assert words in said(running, "key")
            running.terminate()
    with service(**environment) as running:
        assert "only programs of this machine" in said(running, "key")
        running.terminate()
