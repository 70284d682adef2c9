"""Names that would be HTML, scripts or addresses: on every page there is they are text."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import httpx
import pytest
import sqlalchemy as sa
from keyed import bearer, filled, routes
from pages import Seen, job_in, seen
from serving import Served, serve
from talking import CLIMBING

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.keys.keys import Wanted, create_key
from ridgeway.settings import Settings
from workers.loop.worker import Worker

SCRIPT = "<script>owned()</script>"
BREAK_OUT = "\"'><img src=x onerror=owned()>"
ADDRESS = "javascript:owned()"
OTHERS = "\u202edrawkcab 🦔 {{ 7 * 7 }} </title><!-- <svg/onload=owned()>"
LONG = f"{BREAK_OUT}{SCRIPT}{OTHERS}".ljust(200, "w")
HOSTILE = (SCRIPT, BREAK_OUT, ADDRESS, OTHERS, LONG)
WITHOUT_A_NAME = {  # pages that show nothing a client has named
    *("/problems", "/sign-in"),
    *("/dashboard", "/dashboard/{rest:path}"),  # their script fetches the names
}
# Streams, files of the dashboard's package, and JSON that takes seconds: each plot's title.
WITHOUT_HTML = {"/v1/jobs/{id}/events", "/static/{rest:path}", "/v1/jobs/{id}/plots"}
JOB = {"model": {"kind": "linear"}, "search": {"penalty": ["none", "l1"]}, "trials": 6}


@dataclass(frozen=True)
class Besieged:
    """A service all of whose names are hostile, and a reader of its who has signed in."""

    served: Served
    reader: httpx.Client
    jobs: list[str]

    def pages(self, path: str) -> Iterator[httpx.Response]:
        """What a browser gets at the path, with everything in the place of its parameters."""
        for address in sorted(self._addresses(path)):
            yield self.reader.get(address)

    def _addresses(self, path: str) -> set[str]:
        if path == "/compare":
            return {f"{path}?job={self.jobs[0]}&job={self.jobs[1]}", f"{path}?job={SCRIPT}"}
        if "{" not in path:
            asked = ("name", "dataset", "target", "drop", "next")
            hostile = "&".join(f"{field}={quote(LONG)}" for field in asked)
            return {path, f"{path}?{hostile}", f"{path}?from={self.jobs[0]}"}
        named = [quote(name, safe="") for name in HOSTILE]
        ids = self.jobs if "/jobs/" in path else named[-1:]
        given = "features?format=svg" if "/plots/" in path else "features"
        found = {filled(path, id=id, name=given) for id in [*ids, named[0]]}
        return found | {filled(path, id=ids[0], name=name, rest=name) for name in named}


@pytest.fixture(scope="module")
def besieged(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """The service; one of its jobs is really answered."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(sqlite_template, folder / "ridgeway.db")
    url: Any = f"sqlite:///{folder / 'ridgeway.db'}"
    settings = Settings(data=folder, database_url=url, require_keys=True)
    database = Database(url)
    with database.transaction() as transaction:
        key = create_key(transaction, Wanted(SCRIPT + BREAK_OUT, "admin"))[1]
    with serve(settings) as served, httpx.Client(base_url=served.url, timeout=60) as http:
        sent = {"params": {"name": LONG}, "content": table(), "headers": bearer(key)}
        assert http.post("/v1/datasets", **sent).status_code == 201
        job = {**JOB, "dataset": LONG, "name": LONG}
        posted = http.post("/v1/jobs", json=job, headers=bearer(key))
        assert posted.status_code == 201, posted.text
        answered = posted.json()["id"]
        worker = Worker(database, Store.of(settings), settings, "worker", "cpu")
        while worker.work_once():
            pass
        assert http.get(f"/v1/jobs/{answered}", headers=bearer(key)).json()["recommended"]
        others = [failed(database), job_in(database, "queued", name=BREAK_OUT)]
        hire(database)
        sign_in = {"data": {"key": key}, "headers": {"Origin": served.url}}
        assert http.post("/sign-in", **sign_in).status_code == 303
        http.headers["Accept"] = "text/html,*/*"
        yield Besieged(served, http, [answered, *others])
    database.close()


def table() -> bytes:
    """A CSV whose columns, categories and classes are as hostile as can be in one."""
    columns = ["x", *(name.replace('"', '""') for name in (SCRIPT, BREAK_OUT, ADDRESS))]
    lines = [",".join(f'"{name}"' for name in columns)]
    for row in range(120):
        other = f'"<b onclick=owned()>{row % 3}"'
        label = SCRIPT if row % 2 else BREAK_OUT.replace('"', '""')
        lines.append(f'{row % 2 + row % 7 / 5},{other},{row * 37 % 11},"{label}"')
    return "\n".join(lines).encode()


def failed(database: Database) -> str:
    """A job that a hostile plug-in has had fail, and warned of."""
    job_id = job_in(database, "failed", name=SCRIPT)
    told = {"error": f"KeyError: `{LONG}`", "warnings": [LONG, ADDRESS]}
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(told))
    return job_id


def hire(database: Database) -> None:
    """Start a worker on a hostile machine with hostile plug-ins."""
    offered = frozenset(HOSTILE)
    record = WorkerRecord("w", BREAK_OUT, 7, SCRIPT, LONG, offered, offered, offered)
    with database.transaction() as transaction:
        record_worker(transaction, record)


def assert_harmless(answer: httpx.Response) -> Seen:
    """Nothing of a name is an element, an attribute or an address; the policy lets none run."""
    found = seen(answer.text)
    for tag, own in found.elements:
        assert not [name for name in own if name.startswith("on")], (answer.url, tag, own)
        assert tag != "img" or own["src"].startswith("data:"), (answer.url, own)
        assert tag != "script" or own["src"].startswith(("/assets/", "/static/")), own
        for name in ("href", "src", "action", "formaction"):
            if name in own and not own[name].startswith(("data:", "#")):
                assert urlsplit(own[name]).scheme in ("", "http", "https"), (answer.url, own)
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    directives = dict(each.split(maxsplit=1) for each in policy.split(";"))
    scripts = directives.get("script-src", directives["default-src"])
    # The dashboard's own page evaluates, as its plots do; what stands in a page never runs.
    assert scripts in ("'none'", "'self'", "'self' 'unsafe-eval'"), policy
    return found


def assert_harmless_picture(answer: httpx.Response) -> Seen:
    """A picture is XML in which no name is an element; opened by itself it runs nothing."""
    found = {each.tag.rpartition("}")[2] for each in ElementTree.fromstring(answer.text).iter()}
    assert not found & {"script", "img", "foreignObject", "b"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return seen(answer.text)


HARMLESS = {"text/html": assert_harmless, "image/svg+xml": assert_harmless_picture}


def test_no_name_is_more_than_text_on_any_page(besieged: Besieged) -> None:
    every = {path for method, path in routes(besieged.served.app) if method == "GET"}
    pages: set[str] = set()
    named: set[str] = set()
    for path in sorted(every - WITHOUT_HTML):
        for answer in besieged.pages(path):
            assert answer.status_code < 500, (answer.url, answer.text)
            assert answer.headers["x-content-type-options"] == "nosniff"
            kind = answer.headers.get("content-type", "").partition(";")[0]
            if kind in HARMLESS:
                pages.add(path)
                if "owned()" in HARMLESS[kind](answer).text:
                    named.add(path)
    assert len(pages) >= 13, pages
    assert pages - named <= WITHOUT_A_NAME


def test_the_dashboard_gives_no_files_but_its_own(besieged: Besieged) -> None:
    for path in ("/static/", "/dashboard/", "/api/", "/csv/", "/favicon.ico/"):
        for climbing in CLIMBING:
            answer = besieged.reader.get(path + climbing)
            assert answer.status_code < 500, (path, climbing, answer.text)
            assert "root:" not in answer.text
            assert "SQLite format" not in answer.text
