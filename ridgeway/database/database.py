"""The study database: engine, our tables, transactions; SQLite and PostgreSQL alike.

Times are seconds since 1970 by the database's clock; no other clock is compared with them.
"""

from __future__ import annotations

import fcntl
import logging
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from ridgeway.errors import InvalidInput, SchemaMismatch
from ridgeway.settings import Settings

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_OPTIONAL_JSON = sa.JSON(none_as_null=True)
_DOUBLE: sa.Double[float] = sa.Double()
_SECONDS = _DOUBLE

datasets = Table(
    "datasets",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("name", sa.String(200), nullable=False, unique=True),
    Column("checksum", sa.String(64), nullable=False, comment="sha256 of the bytes that came in"),
    Column("stored_checksum", sa.String(64), nullable=False, comment="sha256 of the stored table"),
    Column("address", sa.Text, nullable=False, comment="key in the store"),
    Column("bytes", sa.BigInteger, nullable=False, comment="that came in"),
    Column("rows", sa.BigInteger, nullable=False),
    Column("profile", sa.JSON, nullable=False, comment="ridgeway.profiles.DatasetProfile"),
    Column("created_at", _SECONDS, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("name", sa.Text, nullable=False),
    Column("state", sa.String(16), nullable=False),
    Column("priority", sa.Integer, nullable=False),
    Column("spec", sa.JSON, nullable=False, comment="ridgeway.spec.JobSpec, resolved"),
    Column("model", sa.String(200), nullable=False, comment="model.kind, for claims"),
    Column("dataset", sa.String(200), nullable=False, comment="as the spec names it"),
    Column(
        "dataset_id", sa.String(36), ForeignKey("datasets.id"), comment="of an uploaded data set"
    ),
    Column("study_id", sa.Integer, nullable=False, comment="Optuna's; its name is the job's id"),
    Column("trials", sa.Integer, nullable=False, comment="the budget"),
    Column("claimed", sa.Integer, nullable=False, comment="trials in leases, of any state"),
    Column("complete", sa.Integer, nullable=False),
    Column("pruned", sa.Integer, nullable=False),
    Column("failed", sa.Integer, nullable=False),
    Column("running", sa.Integer, nullable=False),
    Column("populations", sa.Integer, nullable=False, comment="leased so far"),
    Column("population_limit", sa.Integer, comment="fixed by the first claim"),
    Column("closed", sa.Boolean, nullable=False, comment="no new populations: out of time"),
    Column("plan", _OPTIONAL_JSON, comment="what the first worker found out"),
    Column("best", _OPTIONAL_JSON, comment="ridgeway.views.Best"),
    Column("recommended", _OPTIONAL_JSON, comment="ridgeway.views.Recommended"),
    Column("evaluations", sa.Integer, nullable=False, comment="looks at the sealed test set"),
    Column("error", sa.Text),
    Column("warnings", sa.JSON, nullable=False),
    Column("idempotency_key", sa.String(200), unique=True),
    Column("request_checksum", sa.String(64), comment="sha256 of the spec as it was asked for"),
    Column("created_at", _SECONDS, nullable=False),
    Column("started_at", _SECONDS),
    Column("finished_at", _SECONDS),
    Column("deadline", _SECONDS),
    Index(None, "state", "priority", "created_at"),
    Index(None, "created_at", "id"),
)

leases = Table(
    "leases",
    metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("job_id", sa.String(36), ForeignKey("jobs.id"), nullable=False),
    Column("kind", sa.String(16), nullable=False, comment="population or answer"),
    Column("state", sa.String(16), nullable=False),
    Column("ordinal", sa.Integer, nullable=False, comment="of this kind within the job"),
    Column("size", sa.Integer, nullable=False, comment="trials"),
    Column("first_number", sa.Integer, comment="numbers are contiguous; null until reserved"),
    Column("worker_id", sa.String(36)),
    Column("fence", sa.Integer, nullable=False, comment="grows with each holder"),
    Column("attempts", sa.Integer, nullable=False, comment="holders that did not hand it back"),
    Column("expires_at", _SECONDS, nullable=False),
    Column("checkpoint", sa.Text, comment="key in the store; of the population in mid-training"),
    Column("created_at", _SECONDS, nullable=False),
    UniqueConstraint("job_id", "kind", "ordinal"),
    Index(None, "state", "expires_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("host", sa.Text, nullable=False),
    Column("pid", sa.Integer, nullable=False),
    Column("device", sa.Text, nullable=False),
    Column("version", sa.String(50), nullable=False),
    Column("models", sa.JSON, nullable=False, comment="names that a spec may use"),
    Column("datasets", sa.JSON, nullable=False, comment="names beside uploaded ones"),
    Column("started_at", _SECONDS, nullable=False),
    Column("seen_at", _SECONDS, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", sa.String(36), ForeignKey("jobs.id"), primary_key=True),
    Column("name", sa.String(100), primary_key=True, comment="model.safetensors"),
    Column("address", sa.Text, nullable=False, comment="key in the store"),
    Column("checksum", sa.String(64), nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("created_at", _SECONDS, nullable=False),
)

# What workers measured: how many members of a model should share a step on a device.
shared_steps = Table(
    "shared_steps",
    metadata,
    Column("shape", sa.String(64), primary_key=True, comment="digest of the model's sizes"),
    Column("device", sa.String(200), primary_key=True, comment="its make"),
    Column("together", sa.Integer, nullable=False, comment="members"),
    Column("measured_at", _SECONDS, nullable=False),
)

# Triggers on Optuna's `trial_values` keep it, whoever writes there.
ranked_trials = Table(
    "ranked_trials",
    metadata,
    Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    Column("study_id", sa.Integer, nullable=False),
    Column(
        "signed_value",
        _DOUBLE,
        nullable=False,
        comment="of the first objective; the lower the better",
    ),
    Index(None, "study_id", "signed_value", "trial_id"),
)


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, in seconds since 1970; moves within a transaction."""

    type = _SECONDS
    inherit_cache = True


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **options: Any) -> str:
    return "extract(epoch from clock_timestamp())::float8"


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **options: Any) -> str:
    # unixepoch(..., 'subsec') is NULL before SQLite 3.42.
    return "((julianday('now') - 2440587.5) * 86400.0)"


def current_time(transaction: Connection) -> float:
    """What the database's clock says, in seconds since 1970."""
    return float(transaction.execute(_CURRENT_TIME).scalar_one())


_CURRENT_TIME = sa.select(now())  # built once: that takes SQLAlchemy longer than to run it


class Database:
    """The engine and its transactions. Close it with `close`."""

    def __init__(self, url: str, busy_timeout_seconds: float = 30.0) -> None:
        self.url = _checked_url(url)
        self.engine = _engine(self.url, busy_timeout_seconds)
        self._writer = self.engine.execution_options(ridgeway_writes=True)
        self._reader = (
            self.engine
            if self.embedded
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """The database that the settings name."""
        return cls(settings.resolved_database_url(), settings.busy_timeout_seconds)

    @property
    def embedded(self) -> bool:
        """SQLite: one machine, one folder."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """One transaction that may write; it commits unless the block raises."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection to read with; on SQLite one transaction, which waits for no writer.

        On PostgreSQL each statement is its own: under READ COMMITTED it would see no less, and
        `BEGIN` and `COMMIT` would be two trips more.
        """
        with self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The URL itself may hold a password: it is never repeated.
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, "is no database URL") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    message = "must be sqlite:///FILE or postgresql://USER@HOST/NAME"
    raise InvalidInput.of("RIDGEWAY_DATABASE_URL", backend, message)


def _engine(url: URL, busy_timeout_seconds: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(
            url, connect_args={"timeout": busy_timeout_seconds, "isolation_level": None}
        )
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    milliseconds = int(busy_timeout_seconds * 1000)
    # A process stopped inside a transaction must not hold everybody else up for ever.
    options = (
        f"-c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
    )
    # Every write first locks its job's row, so READ COMMITTED is enough.
    return sa.create_engine(
        url,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
        connect_args={"options": options, "connect_timeout": 10},
    )


def _set_pragmas(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if not connection.get_execution_options().get("ridgeway_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite waits in naps that grow to 100 ms, far longer than our transactions: nap shorter.
    driver: Any = connection.connection.driver_connection
    given = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    deadline = time.monotonic() + given / 1000
    driver.execute(f"PRAGMA busy_timeout = {min(given, NAPS_MILLISECONDS)}")
    try:
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises what SQLAlchemy's users expect
    finally:
        driver.execute(f"PRAGMA busy_timeout = {given}")


NAPS_MILLISECONDS = 18  # four naps of 1 to 10 ms: shorter ones only take the writer's core


# --- schema -----------------------------------------------------------------------------------

VERSION_TABLE = "ridgeway_version"  # Optuna owns `alembic_version`
MIGRATIONS = Path(__file__).parents[2] / "migrations"


def migrate(database: Database) -> None:
    """Bring Optuna's tables and ours to this release's schema; safe to run twice at once."""
    # Alembic and Optuna take their time to import; only migrating processes pay for them.
    from alembic import command
    from optuna.storages import RDBStorage

    with _one_migrator(database), _logging_as_it_is():
        # Optuna's tables first: it refuses to start on a database that holds tables but no
        # version of its own.
        storage = RDBStorage(database.url.render_as_string(hide_password=False))
        storage.upgrade()
        storage.engine.dispose()
        with database.engine.connect() as connection:
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def _logging_as_it_is() -> Generator[None]:
    """Optuna's migrations configure logging for a program of their own, and silence all others."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    known = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    enabled = [logger for logger in known if not logger.disabled]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for logger in enabled:
            logger.disabled = False


def require_schema(database: Database) -> None:
    """Raise SchemaMismatch unless the tables are exactly this release's."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    expected = ScriptDirectory.from_config(alembic_config()).get_current_head()
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        found = context.get_current_revision()
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


OPTUNA_SCHEMA = "v3.2.0.a"


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
    with database.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text("SET lock_timeout = 0"))
        connection.execute(sa.text("SELECT pg_advisory_lock(7243982301)"))
        try:
            yield
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(7243982301)"))
