"""`ridgeway doctor`: every check once, side by side, none of which may hang or hide another.

Adding a check is a function that takes a `Place` and returns a `Finding`, and a line in `CHECKS`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from pydantic import ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.errors import InvalidInput
from ridgeway.operate import database_checks, fleet_checks, machine_checks
from ridgeway.operate.findings import Finding, Place, fail
from ridgeway.settings import Settings, refusals

Check: TypeAlias = Callable[[Place], Finding]

WAIT_SECONDS = 10.0  # for a lock of the database, or its answer
LIMIT_SECONDS = 100.0  # for all checks; what compiles has 90

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "settings": machine_checks.check_settings,
        "versions": machine_checks.check_versions,
        "database": database_checks.check_database,
        "schema": database_checks.check_schema,
        "store": database_checks.check_store,
        "files": database_checks.check_files,
        "service": fleet_checks.check_service,
        "workers": fleet_checks.check_workers,
        "jobs": fleet_checks.check_jobs,
        "clock": database_checks.check_clock,
        "compiler": machine_checks.check_compiler,
        "gpu": machine_checks.check_gpu,
        "disk": machine_checks.check_disk,
        "cache": machine_checks.check_cache,
        "privacy": machine_checks.check_privacy,
    }
)


def diagnose(data: Path | None = None, checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """Look at the installation that the settings name, or that of a data folder."""
    try:
        settings = Settings() if data is None else Settings(data=data)
        place = _place(settings)
    except (ValidationError, InvalidInput) as error:
        return list(_refused(error))
    try:
        return _examined(place, checks)
    finally:
        if place.database is not None:
            place.database.close()


def _place(settings: Settings) -> Place:
    """Return what there is to look at; nothing is made by looking."""
    url = settings.resolved_database_url()
    database = Database(url, WAIT_SECONDS, hurried=True)
    if database.embedded and not Path(make_url(url).database or "").exists():
        database.close()
        return Place(settings, None)
    return Place(settings, database)


def _refused(error: ValidationError | InvalidInput) -> Iterable[Finding]:
    remedy = "Correct it, and look again: nothing else can be looked at before."
    if isinstance(error, InvalidInput):
        yield fail(str(error), remedy).model_copy(update={"check": "settings"})
        return
    for told in refusals(error):
        yield fail(told, remedy).model_copy(update={"check": "settings"})


def _examined(place: Place, checks: Mapping[str, Check]) -> list[Finding]:
    """Run every check in a thread of its own; what takes too long is told and left behind."""
    found: dict[str, Finding] = {}

    def run(name: str, check: Check) -> None:
        found[name] = _told(name, check, place)

    threads = [
        threading.Thread(target=run, args=each, name=each[0], daemon=True)
        for each in checks.items()
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LIMIT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = fail(f"no answer within {LIMIT_SECONDS:g} s", "See what the machine waits for.")
    return [found.get(name, late).model_copy(update={"check": name}) for name in checks]


def _told(name: str, check: Check, place: Place) -> Finding:
    try:
        return check(place)
    except SQLAlchemyError as error:
        told = f"the database does not tell: {first_line(error)}"
        return fail(told, "See the checks `database` and `schema`.")
    except Exception as error:  # a broken check is one finding, and no more
        told = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        remedy = "See the other checks; if those are well, the check itself is at fault."
        return fail(f"the check broke off: {told}", remedy)
