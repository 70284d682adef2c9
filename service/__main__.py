"""`python -m service`: the front door as a process."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ridgeway import traces
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.database.schema import require_schema
from ridgeway.errors import InvalidInput, SchemaMismatch
from ridgeway.host.private import keep_private
from ridgeway.host.supervisor import die_with_parent
from ridgeway.keys.keys import any_usable
from ridgeway.keys.needed import NoKey, is_loopback, keys_needed
from ridgeway.logs import log_to_standard_error
from ridgeway.settings import Settings, refusals
from service.app import create_app
from service.connections import Connection, OneComplaint, raise_descriptors
from service.notify.allowlist import Allowlist

KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 8  # to finish requests; a supervisor kills after 10

log = logging.getLogger("ridgeway.service")


def main() -> int:
    """Serve until a signal comes; exit code 2 where the settings or the schema don't fit."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--host", help="default: RIDGEWAY_HOST")
    parser.add_argument("--port", type=int, help="default: RIDGEWAY_PORT")
    parser.add_argument(
        "--insecure", action="store_true", help="ask nobody for a key, whoever reaches it"
    )
    parser.add_argument(
        "--supervised", action="store_true", help="end when standard input does (a pipe)"
    )
    arguments = parser.parse_args()
    keep_private()
    raise_descriptors()
    if arguments.supervised:
        die_with_parent()
    given = {"host": arguments.host, "port": arguments.port}
    given["require_keys"] = False if arguments.insecure else None
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
        log_to_standard_error(settings)
        traces.begin("ridgeway-service")
        logging.getLogger("asyncio").addFilter(OneComplaint())
        _check(settings)
    except ValidationError as error:
        for told in refusals(error):
            print(told, file=sys.stderr)
        return 2
    except (SchemaMismatch, InvalidInput, NoKey) as error:
        print(error, file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        print(f"The database can't be reached: {first_line(error)}", file=sys.stderr)
        return 3
    _serve(settings)
    return 0


def _serve(settings: Settings) -> None:
    """Answer requests until a signal comes."""
    _tell_who_may_enter(settings)
    app = create_app(settings)
    # What is there now stays. To look through all of it for cycles, as is done now and then, would
    # keep every request waiting for a tenth of a second.
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=settings.log_level.lower() == "debug",
        server_header=False,
        http=Connection,
        loop="asyncio",  # where uvloop is installed, too: OneComplaint knows asyncio's words
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _tell_who_may_enter(settings: Settings) -> None:
    if keys_needed(settings):
        log.info("every request needs a key")
    elif is_loopback(settings.host):
        log.info("no key is asked for: only programs of this machine reach %s", settings.host)
    else:
        log.warning("no key is asked for: whoever reaches %s may do everything", settings.host)


def _check(settings: Settings) -> None:
    """Check settings, schema and keys first; the lifespan would raise the same with a traceback.

    NoKey where nobody could enter; then nothing is made, no folder either.
    """
    Allowlist.of(settings)
    closed = keys_needed(settings)
    database = Database.of(settings)
    if closed and database.embedded and not Path(str(database.url.database)).exists():
        raise NoKey.of(settings)
    Store.of(settings).require_open()
    try:
        require_schema(database)
        with database.reading() as transaction:
            if closed and not any_usable(transaction):
                raise NoKey.of(settings)
    finally:
        database.close()


if __name__ == "__main__":
    sys.exit(main())
