"""Migrations give exactly the tables of the models, and leave Optuna's alone; on both databases."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from optuna.storages._rdb.models import BaseModel as OptunaTables

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import Upload, add_dataset
from ridgeway.data.listing import list_datasets
from ridgeway.database.engine import Database
from ridgeway.database.schema import VERSION_TABLE, alembic_config, migrate, require_schema
from ridgeway.database.tables import metadata, ranked_trials
from ridgeway.errors import SchemaMismatch
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.claiming import claim
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.jobs.sizes import Sizes
from ridgeway.spec.notify import Notification
from ridgeway.spec.spec import JobSpec

EXPANDING_FROM = "0012"  # the schema of the earliest release that may run while this one migrates


@pytest.fixture
def empty_database(empty_database_url):
    database = Database(empty_database_url)
    yield database
    database.close()


def differences(database: Database) -> list:
    def ours(name, kind, parents):
        return kind != "table" or name in metadata.tables

    options = {"include_name": ours, "compare_type": True, "version_table": VERSION_TABLE}
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def run(database: Database, step: Callable[..., None], revision: str) -> None:
    config = alembic_config()
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        step(config, revision)


def tables(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


def test_a_migration_leaves_a_program_s_logging_alone(empty_database):
    logger, root = logging.getLogger("ridgeway.worker"), logging.getLogger()
    before = (root.level, root.handlers[:])
    migrate(empty_database)
    assert not logger.disabled
    assert (root.level, root.handlers) == before


def test_migrations_equal_the_models(empty_database):
    migrate(empty_database)
    assert differences(empty_database) == []
    assert set(metadata.tables) < tables(empty_database)


def test_constraints_are_called_as_in_the_models(empty_database):
    migrate(empty_database)
    inspector = sa.inspect(empty_database.engine)
    for name, table in metadata.tables.items():
        found = {each["name"] for each in inspector.get_foreign_keys(name)}
        assert found == {each.name for each in table.foreign_key_constraints}, name


def test_a_model_that_no_migration_creates_is_noticed(empty_database):
    migrate(empty_database)
    with empty_database.transaction() as transaction:
        transaction.execute(sa.text("ALTER TABLE workers DROP COLUMN device"))
    assert [difference[0] for difference in differences(empty_database)] == ["add_column"]


def test_optuna_starts_on_a_migrated_database_and_keeps_its_own_version(empty_database):
    migrate(empty_database)
    url = empty_database.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url)
    assert storage.get_current_version() == storage.get_head_version() == "v3.2.0.a"
    storage.engine.dispose()


def test_migrating_twice_or_two_at_once_is_safe(empty_database):
    start = threading.Barrier(2)

    def run(_: int) -> None:
        start.wait()
        migrate(empty_database)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    migrate(empty_database)
    require_schema(empty_database)


def test_going_down_takes_our_tables_and_leaves_optunas(empty_database):
    migrate(empty_database)
    run(empty_database, command.downgrade, "base")
    assert tables(empty_database) - {VERSION_TABLE} == set(OptunaTables.metadata.tables) | {
        "alembic_version"
    }


def test_trials_from_before_are_ranked_by_the_migration(empty_database):
    migrate(empty_database)
    run(empty_database, command.downgrade, "0002")
    storage = optuna.storages.RDBStorage(empty_database.url.render_as_string(hide_password=False))
    study = optuna.create_study(storage=storage, direction="maximize")
    study.add_trials([optuna.trial.create_trial(value=value) for value in (1.0, 3.0, 2.0)])
    storage.engine.dispose()
    run(empty_database, command.upgrade, "head")
    with empty_database.reading() as transaction:
        query = sa.select(ranked_trials.c.trial_id).order_by(ranked_trials.c.signed_value)
        assert list(transaction.execute(query).scalars()) == [2, 3, 1]


def test_data_sets_from_before_are_summarised_by_the_migration(empty_database):
    migrate(empty_database)
    with empty_database.transaction() as transaction:
        names = {
            name: add_dataset(transaction, Upload(name, "a", "b", "c", 1, profile)).id
            for name, profile in bundled_profiles().items()
        }
        told = [Notification(url="https://hooks.example/")]
        spec = JobSpec(dataset="wine", notify=told)  # rows that refer to others
        submit_job(transaction, spec, dataset_id=names["wine"])
        assert claim(
            transaction, Claimant("w", frozenset({"mlp"}), frozenset(), Sizes(4, 64), 30.0, 5)
        )
        before = list_datasets(transaction, cursor=None, limit=50)
    run(empty_database, command.downgrade, "0005")
    run(empty_database, command.upgrade, "head")
    with empty_database.reading() as transaction:
        assert list_datasets(transaction, cursor=None, limit=50) == before
    tasks = {each.name: (each.column_count, each.target, each.task) for each in before.datasets}
    assert tasks["wine"] == (14, "target", "classification")
    assert tasks["diabetes"] == (11, "target", "regression")


def test_an_empty_or_older_database_is_refused_with_what_to_run(empty_database):
    with pytest.raises(SchemaMismatch, match="ridgeway migrate"):
        require_schema(empty_database)
    migrate(empty_database)
    require_schema(empty_database)
    with empty_database.transaction() as transaction:
        transaction.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0011'"))
    with pytest.raises(SchemaMismatch, match="schema is 0011, this release needs"):
        require_schema(empty_database)


def test_a_database_that_a_newer_release_has_migrated_is_left_to_it(empty_database):
    migrate(empty_database)
    with empty_database.transaction() as transaction:
        transaction.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = 'later'"))
    for touch in (require_schema, migrate):
        with pytest.raises(SchemaMismatch, match="is later, which a newer release has made"):
            touch(empty_database)


def test_migrations_only_add_so_that_a_running_release_gets_on_beside_them(empty_database):
    """The earlier release neither reads nor writes what is new, and misses nothing."""
    migrate(empty_database)
    new = {
        (name, column["name"]): column["nullable"] or column["default"] is not None
        for name in metadata.tables
        for column in sa.inspect(empty_database.engine).get_columns(name)
    }
    run(empty_database, command.downgrade, EXPANDING_FROM)
    inspector = sa.inspect(empty_database.engine)
    before = {*metadata.tables} & {*inspector.get_table_names()}
    old = {(name, column["name"]) for name in before for column in inspector.get_columns(name)}
    assert old <= {*new}
    demanding = [place for place in {*new} - old if place[0] in before and not new[place]]
    assert demanding == []


def test_a_newer_optuna_schema_is_refused(empty_database):
    migrate(empty_database)
    with empty_database.transaction() as transaction:
        transaction.execute(sa.text("UPDATE alembic_version SET version_num = 'v9.0.0'"))
    with pytest.raises(SchemaMismatch, match=r"v9\.0\.0"):
        require_schema(empty_database)
