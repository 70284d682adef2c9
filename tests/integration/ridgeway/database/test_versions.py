"""A database's version is another after every commit, whoever's, and only then."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.database.versions import Versions


@pytest.fixture
def versions(database: Database) -> Iterator[Versions]:
    """Of either database."""
    made = Versions(database)
    yield made
    made.close()


def test_a_commit_makes_another_version_and_nothing_else_does(database, versions):
    before = versions.now()
    if not database.embedded:
        assert before is None
        return
    with database.transaction() as transaction:
        transaction.execute(sa.select(jobs)).all()
        assert versions.now() == before  # a writer that holds its lock hinders nobody
    assert versions.now() == before
    seen = [before]
    for _ in range(3):
        submit(database)
        seen.append(versions.now())
    assert versions.now() == seen[-1]
    assert len(set(seen)) == 4
    with database.engine.begin() as transaction:
        transaction.execute(sa.delete(jobs))
        transaction.rollback()
    assert versions.now() == seen[-1]


def test_each_connection_s_versions_are_its_own(database, versions):
    before = versions.now()
    versions.close()
    submit(database)
    assert before is None or versions.now() != before


def test_a_file_in_the_place_of_another_is_another_database(sqlite_template, tmp_path: Path):
    path = tmp_path / "ridgeway.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    versions = Versions(database)
    before = versions.now()
    assert before is not None
    path.rename(tmp_path / "elsewhere")
    assert versions.now() is None
    assert not path.exists()
    shutil.copy(sqlite_template, path)
    assert versions.now() not in (None, before)
    versions.close()
    database.close()
