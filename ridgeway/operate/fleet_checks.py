"""Checks of what runs: the service, its workers, and jobs that nobody can take."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from importlib.metadata import version
from urllib.parse import urlsplit

import sqlalchemy as sa

from ridgeway.database.tables import jobs
from ridgeway.errors import Unreadable
from ridgeway.fleet import list_live_workers
from ridgeway.jobs.rows import select_looks
from ridgeway.jobs.stored import read_spec
from ridgeway.jobs.waiting import Waiting
from ridgeway.operate.findings import NOT_YET, Finding, Place, fail, ok, warn
from ridgeway.views import ENDED

ANSWER_SECONDS = 5.0
MOST_JOBS = 200  # that are looked at, the oldest of the open ones

START = (
    "Start `ridgeway serve`, or `ridgeway worker` with RIDGEWAY_DATABASE_URL and "
    "RIDGEWAY_STORE_URL as the service has them."
)


def check_service(place: Place) -> Finding:
    """Ask the service whether jobs would be worked on."""
    url = _address(place)
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)) as connection:
            connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
            status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        told = f"no service answers at {url} ({error})"
        return warn(told, "Start it with `ridgeway serve`, or say in RIDGEWAY_URL where it is.")
    if status == 200:
        return ok(f"the service at {url} is ready")
    return warn(f"the service at {url} answers {status} to /readyz", "See the other checks.")


def _address(place: Place) -> str:
    """Return where `ridgeway serve` on this folder says that it listens, or the setting."""
    try:
        told = json.loads((place.settings.data / "serve.json").read_text())
        return str(told["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return place.settings.url.rstrip("/")


def check_workers(place: Place) -> Finding:
    """Find out whether workers are alive, and of one release with this one."""
    if place.database is None:
        return warn("there are no workers yet", NOT_YET)
    with place.database.reading() as connection:
        live = list_live_workers(connection)
        open_jobs = sa.select(sa.func.count()).where(jobs.c.state.not_in(ENDED))
        waiting = int(connection.execute(open_jobs).scalar_one())
    if not live:
        told = f"no worker is alive; {waiting} jobs are open"
        return fail(told, START) if waiting else warn(told, START)
    hosts, versions = {each.host for each in live}, {each.version for each in live}
    told = f"{len(live)} alive on {', '.join(sorted(hosts))}"
    if versions != {version("ridgeway")}:
        remedy = f"Bring all to one release; here it is {version('ridgeway')}."
        return warn(f"{told}, of release {', '.join(sorted(versions))}", remedy)
    return ok(told)


def check_jobs(place: Place) -> Finding:
    """Find open jobs that no live worker can take."""
    if place.database is None:
        return ok("there are no jobs yet")
    lacking: list[str] = []
    query = select_looks().where(jobs.c.state.in_(("queued", "running")))
    with place.database.reading() as connection:
        if not list_live_workers(connection):
            return ok("not looked at: no worker is alive")
        waiting = Waiting(connection)
        rows = connection.execute(query.order_by(jobs.c.created_at).limit(MOST_JOBS)).all()
        for row in rows:
            try:
                told = waiting.why(row, read_spec(row.spec))
            except Unreadable as error:
                told = str(error)
            if told is not None:
                lacking.append(f"job {row.id}: {told}")
    if lacking:
        remedy = "Do what it says, or cancel the job."
        return warn(f"{len(lacking)} of {len(rows)} open jobs wait in vain. {lacking[0]}", remedy)
    return ok(f"each of {len(rows)} open jobs has a worker that can take it")
