"""The schema of the study database: bring it up to this release, or require that it is."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ridgeway.database.engine import Database
from ridgeway.errors import SchemaMismatch

VERSION_TABLE = "ridgeway_version"  # Optuna owns `alembic_version`
OPTUNA_SCHEMA = "v3.2.0.a"
MIGRATIONS = Path(__file__).parents[2] / "migrations"

log = logging.getLogger("ridgeway.database")


def migrate(database: Database) -> None:
    """Bring Optuna's tables and ours to this release's schema; safe to run twice at once.

    SchemaMismatch where a newer release has migrated already: there is no way back.
    """
    with _one_migrator(database):
        before = _revision(database)
        _require_known(before)
        with _logging_as_it_is():
            _upgrade(database)
        after = _revision(database)
    if before not in (None, after):
        log.info("The database's schema was %s and is %s now.", before, after)


def _upgrade(database: Database) -> None:
    # Alembic and Optuna take their time to import; only migrating processes pay for them.
    from alembic import command
    from optuna.storages import RDBStorage

    # Optuna's tables first: it refuses to start on a database that holds tables but no version of
    # its own.
    url = database.url.render_as_string(hide_password=False)
    storage = RDBStorage(url, engine_kwargs=database.of_other_engines)
    storage.upgrade()
    storage.engine.dispose()
    with database.engine.connect() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(database: Database) -> str | None:
    """Return the revision of our tables; None where there are none."""
    from alembic.runtime.migration import MigrationContext

    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


@contextmanager
def _logging_as_it_is() -> Generator[None]:
    """Keep the logging set up; Optuna's migrations set it up anew and silence all others.

    Alembic's lines on each of its steps are dropped: what was done is told in one sentence.
    """
    root = logging.getLogger()
    disabled = root.manager.disable
    logging.disable(max(disabled, logging.INFO))
    handlers, level = root.handlers[:], root.level
    known = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    enabled = [logger for logger in known if not logger.disabled]
    try:
        yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger in enabled:
            logger.disabled = False


def require_schema(database: Database) -> None:
    """Raise SchemaMismatch unless the tables are exactly this release's."""
    from alembic.runtime.migration import MigrationContext

    expected = known_revisions()[0]
    found = _revision(database)
    _require_known(found)
    with database.reading() as connection:
        optuna_found = MigrationContext.configure(connection).get_current_revision()
    if found != expected:
        raise SchemaMismatch(
            f"The database's schema is {found or 'empty'}, this release needs {expected}. "
            "Run `ridgeway migrate` with this release first."
        )
    if optuna_found != OPTUNA_SCHEMA:
        raise SchemaMismatch(
            f"Optuna's schema in the database is {optuna_found or 'empty'}, Ridgeway writes "
            f"{OPTUNA_SCHEMA}. Run `ridgeway migrate`."
        )


def known_revisions() -> list[str]:
    """Return the revisions of our tables that this release knows, the newest first."""
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config())
    return [each.revision for each in script.walk_revisions()]


def _require_known(found: str | None) -> None:
    """Raise SchemaMismatch for a revision that only a newer release can have made."""
    known = known_revisions()
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"The database's schema is {found}, which a newer release has made; this one knows "
            f"it up to {known[0]}. Start the newer release here."
        )


def alembic_config() -> Any:
    """Alembic's configuration; set `attributes["connection"]` before a command."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@contextmanager
def _one_migrator(database: Database) -> Generator[None]:
    if database.embedded:
        path = Path(str(database.url.database) + ".migrating")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    # Held by a transaction, not by a session: behind a pooler that would be anybody's.
    with database.engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7243982301)"))
        yield
