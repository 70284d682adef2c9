"""`python -m ridgeway.host.upkeep`: what supervisors and the command line ask of the database.

A process of its own, so that a supervisor, which lives for weeks, never holds SQLAlchemy and Optuna
in memory. Exit code 2: the schema or the settings don't fit; 3: the database can't be reached.
"""

from __future__ import annotations

import argparse
import platform
import sys

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.database.schema import migrate, require_schema
from ridgeway.errors import RidgewayError
from ridgeway.fleet import recorded_on
from ridgeway.host.private import keep_private
from ridgeway.host.processes import lives
from ridgeway.jobs.holding import expire_leases, lose_worker
from ridgeway.logs import log_to_standard_error
from ridgeway.settings import Settings, refusals
from ridgeway.study.imports import import_study


def main() -> int:
    """Do one task and say in one line what hindered it."""
    parser = argparse.ArgumentParser(prog="python -m ridgeway.host.upkeep", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("migrate", help="bring the schema up to this release")
    tasks.add_parser("prepare", help="before serve starts its processes")
    expire = tasks.add_parser("expire", help="take the leases back of a worker that has died")
    expire.add_argument("worker", metavar="ID")
    expire.add_argument("--because", help="why it died, which its job's warnings will say")
    expire.add_argument("--lease", type=int, help="the one that it worked on, whoever has it now")
    study = tasks.add_parser("import-study", help="from the database whose URL is standard input")
    study.add_argument("name")
    arguments = parser.parse_args()
    keep_private()
    try:
        settings = Settings()
        log_to_standard_error(settings)
        database = Database.of(settings)
        try:
            if arguments.task == "migrate":
                migrate(database)
            elif arguments.task == "prepare":
                prepare_database(database)
            elif arguments.task == "import-study":
                _import(database, sys.stdin.read().strip(), arguments.name)
            else:
                with database.transaction() as transaction:
                    lose_worker(transaction, arguments.worker, arguments.because, arguments.lease)
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
    return 0


def prepare_database(database: Database) -> None:
    """Make the database fit to serve from.

    The caller holds the lock of an embedded database. Leases are taken back from workers that were
    on this machine and are dead; others, of a `ridgeway worker`, are at work. On PostgreSQL nothing
    is changed; SchemaMismatch if it would have to be.
    """
    if not database.embedded:
        require_schema(database)
        return
    migrate(database)
    with database.transaction() as transaction:
        for worker in recorded_on(transaction, platform.node()):
            if not lives(worker.pid, worker.started_at):
                expire_leases(transaction, worker.id)


def _import(database: Database, url: str, name: str) -> None:
    require_schema(database)
    print(f"{import_study(database, url, name)} trials")


if __name__ == "__main__":
    sys.exit(main())
