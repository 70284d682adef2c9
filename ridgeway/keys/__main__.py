"""`python -m ridgeway.keys`: what the command line asks of keys and the audit log.

A process of its own, so that the command line stays light. The order is JSON on standard input, the
answer JSON on standard output. Exit code 2: what is asked for can't be; 3: no database answers.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.database.schema import migrate, require_schema
from ridgeway.errors import InvalidInput, RidgewayError, SchemaMismatch
from ridgeway.keys import keys
from ridgeway.keys.audit import list_audit, record_command
from ridgeway.keys.caller import Limits
from ridgeway.keys.needed import NoKey
from ridgeway.settings import Settings, refusals

PAGE = 500
_MOMENTS = ("created_at", "expires_at", "revoked_at", "used_at")


def main() -> int:
    """Do what is ordered; say in one line what hindered it."""
    order: dict[str, Any] = json.load(sys.stdin)
    task = order.pop("task")
    logging.disable(logging.INFO)  # migrations tell of each of their steps
    try:
        settings = Settings()
        database = _opened(settings, may_make=task == "create")
        try:
            answer = TASKS[task](database, settings, **order)
        finally:
            database.close()
    except ValidationError as error:
        print("\n".join(refusals(error)), file=sys.stderr)
        return 2
    except RidgewayError as error:
        print(error, file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        print(f"The database can't be reached: {first_line(error)}", file=sys.stderr)
        return 3
    print(json.dumps(answer))
    return 0


def _opened(settings: Settings, may_make: bool) -> Database:
    """Open the database; an embedded one is made, or migrated, where it may be."""
    database = Database.of(settings)
    file = Path(database.url.database or "") if database.embedded else None
    if file is not None and not file.exists():
        if not may_make:
            message = f"There is no such file as {file}: --data names the folder of ridgeway.db."
            raise InvalidInput(message)
        file.parent.mkdir(parents=True, exist_ok=True)
    try:
        require_schema(database)
    except SchemaMismatch:
        if not (database.embedded and may_make):
            raise
        migrate(database)
    return database


def _create(
    database: Database, settings: Settings, limits: dict[str, int | None], **wanted: Any
) -> Any:
    with database.transaction() as transaction:
        made = keys.create_key(transaction, keys.Wanted(limits=Limits(**limits), **wanted))
        record_command(transaction, "keys create", made[0])
    return {"prefix": made[0], "key": made[1]}


def _list(database: Database, settings: Settings) -> Any:
    with database.reading() as transaction:
        return [_shown(row) for row in keys.list_keys(transaction)]


def _shown(row: Any) -> dict[str, Any]:
    """Return what is told of a key: all but its hash, with moments as dates."""
    told = {name: value for name, value in row._mapping.items() if name != "id"}
    moments = {name: _moment(told[name]) for name in _MOMENTS}
    return {**told, **moments, "usable": bool(told["usable"])}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _revoke(database: Database, settings: Settings, prefix: str) -> Any:
    with database.transaction() as transaction:
        revoked = keys.revoke_key(transaction, prefix)
        record_command(transaction, "keys revoke", revoked)
    return {"prefix": revoked}


def _weigh(database: Database, settings: Settings, prefix: str, weight: int) -> Any:
    with database.transaction() as transaction:
        weighed = keys.weigh_key(transaction, prefix, weight)
        record_command(transaction, f"keys weight {weight}", weighed)
    return {"prefix": weighed}


def _require(database: Database, settings: Settings, host: str) -> Any:
    """Raise NoKey where a service that listens there would be closed to everybody."""
    with database.reading() as transaction:
        if not keys.any_usable(transaction):
            raise NoKey.of(settings.model_copy(update={"host": host}))
    return {}


def _audit(database: Database, settings: Settings, since: str | None, limit: int) -> Any:
    moment = None if since is None else datetime.fromisoformat(since)
    entries: list[Any] = []
    cursor: str | None = None
    with database.reading() as transaction:
        while len(entries) < limit:
            rest = min(PAGE, limit - len(entries))
            page = list_audit(transaction, since=moment, cursor=cursor, limit=rest)
            entries += [each.model_dump(mode="json") for each in page.entries]
            cursor = page.next
            if cursor is None:
                break
    return entries


TASKS: dict[str, Callable[..., Any]] = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
    "weigh": _weigh,
    "require": _require,
    "audit": _audit,
}

if __name__ == "__main__":
    sys.exit(main())
