"""`python -m workers`: one worker process; `ridgeway worker` and `ridgeway serve` start many."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import torch
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from ridgeway import traces
from ridgeway.data.row_files import RowFiles
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.database.schema import require_schema
from ridgeway.errors import InvalidInput, SchemaMismatch
from ridgeway.host.private import keep_private
from ridgeway.host.pulse import Patience, Pulse, keep_beating
from ridgeway.host.supervisor import die_with_parent
from ridgeway.jobs.identity import new_id
from ridgeway.logs import log_to_standard_error
from ridgeway.settings import Settings, refusals
from workers.kernels import load
from workers.loop.device import device_of
from workers.loop.output import Output
from workers.loop.upgrades import Upgrades
from workers.loop.worker import Worker

YIELDING = 10  # added to the nice value: a tenth of the time that another process gets


def main() -> int:
    """Run until SIGTERM; exit code 2 for what only a person can mend, 3 without a database."""
    arguments = _parser().parse_args()
    keep_private()
    try:
        settings = Settings()
    except ValidationError as error:
        for told in refusals(error):
            print(f"ridgeway worker: {told}", file=sys.stderr)
        return 2
    log_to_standard_error(settings)
    traces.begin("ridgeway-worker")
    pulse = Pulse() if arguments.pulse is None else Pulse.at(arguments.pulse)
    if arguments.yielding:
        os.nice(YIELDING)
    if arguments.supervised:
        die_with_parent()
        keep_beating(pulse, Patience.of(settings).silent)
    # One thread a process: many small programs share the cores better than one spread over all.
    torch.set_num_threads(1)
    try:
        device = device_of(arguments.device)
        store, database = _opened(settings)
    except (InvalidInput, SchemaMismatch) as error:
        print(f"ridgeway worker: {error}", file=sys.stderr)
        return 2
    except SQLAlchemyError as error:  # it may come back: whoever supervises us tries again
        print(
            f"ridgeway worker: the database can't be reached: {first_line(error)}", file=sys.stderr
        )
        return 3
    worker = Worker(database, store, settings, arguments.id or new_id(), device)
    _call_at_signals(worker.stop)
    if device == "cpu":
        load(torch.float32)  # compiled now, once a machine, while no job waits for it
    output = Output()
    output.install()
    worker.run(pulse, output, until=Upgrades() if arguments.supervised else lambda: False)
    database.close()
    return 0


def _opened(settings: Settings) -> tuple[Store, Database]:
    """Open what all share; InvalidInput or SchemaMismatch where it is not fit for this worker."""
    store = Store.of(settings)
    store.require_open()
    store.require_cache()
    with suppress(OSError):  # who needs room there will be told
        RowFiles.of(settings).make_room()
    database = Database.for_worker(settings)
    require_schema(database)
    return store, database


def _call_at_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM or SIGINT from a thread: the main thread may be in C for long."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        os.read(read, 1)
        stop()

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--id", help="a UUID for this worker (default: a new one)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--supervised", action="store_true", help="end when standard input is closed"
    )
    parser.add_argument(
        "--yielding", action="store_true", help="leave the cores to a service on this machine"
    )
    parser.add_argument("--pulse", type=int, help="descriptor of a file that shows it gets on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
