"""Checks of the database and the store: reachable, whole, of this release, on time."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import time
from pathlib import Path

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.data.store import Store
from ridgeway.database.clock import current_time
from ridgeway.database.outages import first_line
from ridgeway.database.schema import require_schema
from ridgeway.database.urls import servers
from ridgeway.errors import InvalidInput, SchemaMismatch, StoreAway, StoreDamaged
from ridgeway.operate.findings import NOT_YET, Finding, Place, fail, ok, sized, warn
from ridgeway.operate.named import named_files

OLDEST_POSTGRESQL = 140000  # as the server counts its versions: 14
FEW_CONNECTIONS = 10  # left of the server's
SKEW_SECONDS = 2.0  # between two clocks that nobody would notice
LITTLE_BYTES = 2**30  # of a disk that is nearly full
NONE_BYTES = 100 * 2**20  # of one that is full before long
MOST_FILES = 500  # looked for in the store, the newest


def check_database(place: Place) -> Finding:
    """Find out whether the database answers, and is set up as Ridgeway needs it."""
    if place.database is None:
        return warn("there is no database yet", NOT_YET)
    try:
        with place.database.reading() as connection:
            if place.database.embedded:
                return _sqlite(connection)
            return _postgresql(connection, several="," in servers(place.database.url)[0])
    except SQLAlchemyError as error:
        return fail(
            f"the database can't be reached: {first_line(error)}",
            "Check that it runs, and the host, name, user and password in RIDGEWAY_DATABASE_URL.",
        )


def _sqlite(connection: Connection) -> Finding:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    if mode != "wal":
        return fail(
            f"SQLite {sqlite3.sqlite_version} has the journal mode {mode}, not wal",
            "Put the data folder on a local disk: network file systems allow no write-ahead log.",
        )
    damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if damage != "ok":
        return fail(
            f"SQLite's file is damaged: {damage}", "Restore a backup: `ridgeway restore FILE`."
        )
    return ok(f"SQLite {sqlite3.sqlite_version}, write-ahead log, no damage")


def _postgresql(connection: Connection, several: bool) -> Finding:
    """several: whether the URL names more servers than one."""

    def shown(name: str) -> str:
        return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())

    version, number = shown("server_version"), int(shown("server_version_num"))
    # The server's own processes are in no database; what else they are is for administrators only.
    count = "SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL"
    used = connection.exec_driver_sql(count).scalar_one()
    most = int(shown("max_connections"))
    if number < OLDEST_POSTGRESQL:
        return fail(f"PostgreSQL is {version}", "Upgrade it to 14 or later.")
    if shown("transaction_read_only") == "on":  # a standby's, too
        return fail(f"PostgreSQL {version} is read-only", "Name the primary server in the URL.")
    waits = shown("synchronous_commit") not in ("off", "local")
    if several and not (waits and shown("synchronous_standby_names")):
        return warn(
            f"PostgreSQL {version} acknowledges what no replica has yet: a failover may lose it",
            "Set synchronous_standby_names on the primary (docs/operations.md, Failover).",
        )
    if most - used < FEW_CONNECTIONS:
        remedy = "Raise max_connections, or run fewer workers: each holds one or two connections."
        return warn(f"PostgreSQL {version}: {used} of {most} connections are in use", remedy)
    return ok(f"PostgreSQL {version}, {used} of {most} connections in use")


def check_schema(place: Place) -> Finding:
    """Find out whether the tables are this release's."""
    if place.database is None:
        return ok("there are no tables yet; `ridgeway serve` makes them")
    try:
        require_schema(place.database)
    except SchemaMismatch as error:
        told, _, remedy = str(error).partition(". ")
        return fail(told, f"{remedy} Where there are jobs already, take a backup first.")
    return ok("the tables are this release's")


def check_clock(place: Place) -> Finding:
    """Compare this machine's clock with the database's, whose time alone counts."""
    if place.database is None:
        return ok("there is no other clock")
    with place.database.reading() as connection:
        before = time.time()
        theirs = current_time(connection)
        after = time.time()
    skew = (before + after) / 2 - theirs
    if abs(skew) > SKEW_SECONDS + (after - before) / 2:
        told = f"this machine's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'}"
        remedy = "Let both follow NTP. No lease hangs on it, but logs and tables tell other times."
        return warn(f"{told} the database's", remedy)
    return ok(f"this machine's clock is within {abs(skew):.1g} s of the database's")


def check_store(place: Place) -> Finding:
    """Write, read and delete a probe in the store, and see how much room there is."""
    folder = store_folder(place)
    if folder is not None and not folder.exists():
        if place.settings.store_url is None:
            return ok("there is no store yet: it comes with the first file")
        remedy = "Check RIDGEWAY_STORE_URL; a new store comes with its first file."
        return warn(f"there is no store at {folder}", remedy)
    try:
        _probe(Store.of(place.settings))
    except InvalidInput as error:
        told, _, remedy = error.errors[0].message.partition("; ")
        remedy = remedy or "check RIDGEWAY_STORE_URL"
        return fail(f"the store can't be used: {told}", f"{remedy[0].upper()}{remedy[1:]}.")
    except StoreDamaged:
        return fail("the store gave back other bytes than it was given", "Replace the disk.")
    except OSError as error:
        return fail(str(error), "Check RIDGEWAY_STORE_URL, its credentials and who may write.")
    if folder is None:
        return ok("a probe was written, read and deleted")
    free = shutil.disk_usage(folder).free
    remedy = "Make room: `ridgeway gc --older-than 90d --dry-run` tells what old jobs take."
    if free < NONE_BYTES:
        return fail(f"the store's disk is full: {sized(free)} are left", remedy)
    if free < LITTLE_BYTES:
        return warn(f"the store's disk has {sized(free)} left", remedy)
    return ok(f"a probe was written, read and deleted; {sized(free)} are free")


def _probe(store: Store) -> None:
    """Write, read and delete a few bytes; the error of whichever fails."""
    store.require_open()
    key = f"doctor/{secrets.token_hex(8)}"
    store.get(key, store.put(key, b"probe"))
    store.delete(key)


def check_files(place: Place) -> Finding:
    """Find out whether the files are there that the database names."""
    if place.database is None:
        return ok("nothing is named yet")
    with place.database.reading() as connection:
        named = named_files(connection, MOST_FILES)
    try:
        store = Store.of(place.settings)
        missing = [key for key in named if not store.exists(key)]
    except (InvalidInput, StoreAway) as error:
        return fail(f"can't be looked for: {error}", "See the check `store`.")
    if missing:
        told = f"{len(missing)} of {len(named)} files are missing, {missing[0]} among them"
        remedy = "Name the store that belongs to this database in RIDGEWAY_STORE_URL, or restore."
        return fail(told, f"{remedy} Jobs on a data set without its file fail.")
    return ok(f"{len(named)} files that the database names are there")


def store_folder(place: Place) -> Path | None:
    """Return the store's folder; None for one that is elsewhere."""
    url = place.settings.resolved_store_url()
    if "://" in url and not url.startswith("file://"):
        return None
    return Path(url.removeprefix("file://"))
