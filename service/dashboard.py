"""The Optuna dashboard: a process of its own, shown read-only behind the service's door.

Importing it costs some 110 MB and a large study keeps it busy for seconds, so it never runs in the
service: `python -m service.dashboard SOCKET` serves it on a UNIX socket, and the service passes
GET and HEAD on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

import httpx
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from ridgeway.database.engine import Database
from ridgeway.errors import NotFound
from ridgeway.settings import Settings
from service.access import studies
from service.large_studies import answer_for_large, let_through
from service.problems import ServiceUnavailable
from service.read_only import read_only

START_SECONDS = 60.0  # importing it takes 2 s, on a machine under load many more
ANSWER_SECONDS = 120.0  # a study of 10,000 trials takes some 10 s
DYING_SECONDS = 1.0
DATABASE_URL = "RIDGEWAY_DATABASE_URL"  # may hold a password: never on a command line

log = logging.getLogger(__name__)


class Dashboard:
    """The dashboard's process: started by the first request, started again if it died."""

    def __init__(self, database: Database, scratch: Path) -> None:
        self._database = database
        self._scratch = scratch
        self._starting = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._client: httpx.AsyncClient | None = None

    async def client(self) -> httpx.AsyncClient:
        """Return a client of the running dashboard; wait while it starts."""
        async with self._starting:
            if self._client is None or self._process is None or self._process.poll() is not None:
                await self.stop()
                self._client = await self._start()
            return self._client

    async def settle(self) -> None:
        """Let a process that is dying die after a connection broke, so that `client` sees it."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._process.wait, DYING_SECONDS)

    async def _start(self) -> httpx.AsyncClient:
        # mkdtemp's folder is ours alone, and with it the socket.
        self._folder = Path(tempfile.mkdtemp(prefix="dashboard-", dir=self._scratch))
        socket = self._folder / "socket"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "service.dashboard", str(socket)],
            # The dashboard ends when this pipe does: it never outlives the service.
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ
            | {DATABASE_URL: self._database.url.render_as_string(hide_password=False)},
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _answers(socket):
                    if self._process.poll() is not None:
                        raise ServiceUnavailable("The dashboard could not be started.")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise ServiceUnavailable("The dashboard takes too long to start.") from None
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)),
            timeout=httpx.Timeout(10.0, read=ANSWER_SECONDS, pool=ANSWER_SECONDS),
        )

    async def stop(self) -> None:
        """End the process, if there is one."""
        if self._client is not None:
            await self._client.aclose()
        if self._process is not None:
            await asyncio.to_thread(_end, self._process)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._client = self._process = self._folder = None


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- the proxy --------------------------------------------------------------------------------

router = APIRouter(include_in_schema=False)

# Nothing else of a request is the dashboard's business: cookies and keys stay here.
_PASSED_ON = ("accept", "accept-encoding", "if-modified-since", "if-none-match", "range")
_PASSED_BACK = (
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "date",
    "etag",
    "last-modified",
)
# Its page is changed on the way: what tells of its bytes, or of its age, is another page's.
_OF_A_PAGE = ("content-security-policy", "content-type", "date")
_LARGEST_ID = 2**31 - 1  # in Optuna's tables; PostgreSQL refuses to look for more


# The dashboard's addresses are absolute, so it can't live under a prefix of ours.
@router.api_route("/dashboard", methods=["GET", "HEAD"])
@router.api_route("/dashboard/{rest:path}", methods=["GET", "HEAD"])
@router.api_route("/api/{rest:path}", methods=["GET", "HEAD"])
@router.api_route("/static/{rest:path}", methods=["GET", "HEAD"])
@router.api_route("/csv/{rest:path}", methods=["GET", "HEAD"])
@router.api_route("/favicon.ico", methods=["GET", "HEAD"])
async def show(request: Request) -> Response:
    """Pass a look at the dashboard on to its process."""
    path: str = request.scope["path"]
    if _leads_elsewhere(path) or any(
        part.isdecimal() and _too_large(part) for part in path.split("/")
    ):
        raise NotFound(f"There is nothing at {path[:200]}.")
    context = request.app.state.context
    dashboard: Dashboard = context.dashboard
    database: Database = context.database
    await studies.require_seen(database, request)
    if (told := await answer_for_large(database, request)) is not None:
        return told
    try:
        answer = await _ask(dashboard, request)
    except httpx.InvalidURL:  # longer, escaped, than httpx takes
        raise NotFound(f"There is nothing at {path[:200]}.") from None
    except httpx.TransportError as error:
        raise ServiceUnavailable(f"The dashboard gave no answer: {type(error).__name__}.") from None
    if answer.status_code >= 500:
        await answer.aclose()
        raise ServiceUnavailable("The dashboard can't show that now.")
    if path == studies.LIST and not request.state.caller.sees_all:
        return await studies.only_own(database, request.state.caller, await answer.aread())
    headers = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
    response: Response
    if _is_page(path):
        kept = {name: headers[name] for name in _OF_A_PAGE if name in headers}
        response = Response(read_only(await answer.aread()), answer.status_code, kept)
        await answer.aclose()
    else:
        response = StreamingResponse(_bytes(answer), answer.status_code, headers)
    let_through(request, response)
    return response


def _is_page(path: str) -> bool:
    return path == "/dashboard" or path.startswith("/dashboard/")


async def _ask(dashboard: Dashboard, request: Request) -> httpx.Response:
    """Ask the dashboard, again where a kept connection turns out to be dead."""
    client = await dashboard.client()
    try:
        return await client.send(_passed_on(client, request), stream=True)
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        await dashboard.settle()
    client = await dashboard.client()
    return await client.send(_passed_on(client, request), stream=True)


def _leads_elsewhere(path: str) -> bool:
    """Return True for a path with dots that mean another one, escaped or not."""
    return any(part in (".", "..") for each in (path, unquote(path)) for part in each.split("/"))


def _passed_on(client: httpx.AsyncClient, request: Request) -> httpx.Request:
    # The path that was judged is the path that is sent: escaped anew, not as it came.
    path = quote(request.scope["path"], safe="/")
    query = quote(request.scope["query_string"], safe="%/&=+:,")  # escapes stay as they are
    names = ("accept",) if _is_page(request.scope["path"]) else _PASSED_ON
    headers = {name: request.headers[name] for name in names if name in request.headers}
    return client.build_request(request.method, f"http://dashboard{path}?{query}", headers=headers)


def _too_large(digits: str) -> bool:
    return len(digits) > 10 or int(digits) > _LARGEST_ID


async def _bytes(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Pass the body on as it came, still encoded."""
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


# --- the dashboard's own process --------------------------------------------------------------


def main(socket: str) -> None:
    """Serve the dashboard on a UNIX socket until the service goes away."""
    import uvicorn
    from a2wsgi import WSGIMiddleware
    from optuna.storages import RDBStorage
    from optuna.study._frozen import FrozenStudy

    # Its types name a package that is not here.
    from optuna_dashboard import wsgi  # pyright: ignore

    from ridgeway.host.supervisor import die_with_parent

    die_with_parent()

    class Named(RDBStorage):
        """Studies by the names of their jobs: the dashboard tells them apart by their numbers."""

        def get_all_studies(self) -> list[FrozenStudy]:
            studies = super().get_all_studies()
            for study in studies:
                # What it loads a study by is asked for elsewhere, and stays the job's id.
                study.study_name = str(study.user_attrs.get("name") or study.study_name)
            return studies

    database = Database.of(Settings())
    # A connection that a restart or a failover has cut is found out before it is used.
    options = {"pool_pre_ping": True, **database.of_other_engines}
    storage = Named(os.environ.pop(DATABASE_URL), options, skip_table_creation=True)
    # The two packages' types of a WSGI application differ in their parameters' names alone.
    app = WSGIMiddleware(cast("Any", wsgi(storage)))
    uvicorn.run(app, uds=socket, log_level="warning", lifespan="off", access_log=False)


if __name__ == "__main__":
    main(sys.argv[1])
