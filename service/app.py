"""The front door: create_app joins routes, errors and limits; its lifespan owns the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import require_schema
from ridgeway.host.scratch import scratch_folder
from ridgeway.keys.needed import keys_needed
from ridgeway.settings import Settings
from service import dashboard
from service.access import sign_in
from service.access.access import Access
from service.access.described import describe_keys
from service.access.door import Door
from service.access.ownership import only_seen
from service.admission import Admission
from service.compression import Compression
from service.connections import STOPPING
from service.context import Context
from service.dashboard import Dashboard
from service.harmless import Harmless
from service.hosts import KnownHost, own_names
from service.ingest import READERS
from service.limits import BodyLimit
from service.looks import Looks
from service.metrics import Metrics
from service.models import Models
from service.notify.allowlist import Allowlist
from service.notify.sender import Sender
from service.origins import SameOrigin
from service.pages.pages import ROUTERS
from service.pictures import Pictures
from service.problems import describe_problems, handle_errors
from service.routes import (
    audit,
    datasets,
    estimates,
    events,
    health,
    jobs,
    plots,
    predictions,
    problem_pages,
    reports,
    results,
    workers,
)
from service.routes import metrics as metrics_route
from service.streams import Streams
from service.sweeper import Sweeper
from service.timing import Timed
from service.tracing import trace
from service.writers import Writers

DESCRIPTION = """Which penalty, and how strong? A hyperparameter search service for regularisation.

Errors are RFC 9457 `application/problem+json`; a bad field is named under `errors`."""


def create_app(settings: Settings) -> FastAPI:
    """Make the service's ASGI application; SchemaMismatch when it starts on another schema.

    InvalidInput for settings that don't go together.
    """
    metrics, allowlist = Metrics(), Allowlist.of(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Callable[[], None]]]:
        async with _shared(settings, metrics, allowlist) as app.state.context:
            # Connections are told of the end before the lifespan is (service/connections.py).
            yield {STOPPING: app.state.context.streams.end}

    app = FastAPI(
        title="Ridgeway",
        description=DESCRIPTION,
        version=version("ridgeway"),
        lifespan=lifespan,
        # One JobSpec in the document: what is sent is what comes back.
        separate_input_output_schemas=False,
        redirect_slashes=False,
        # /docs is a page of ours (service/pages/reference.py): FastAPI's come from a CDN.
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(only_seen)],
    )
    for routes in (
        *(jobs, events, results, reports, predictions, plots),
        *(estimates, datasets, workers, audit, health, metrics_route),
        *(problem_pages, sign_in, dashboard),
    ):
        app.include_router(routes.router)
    for router in ROUTERS:
        app.include_router(router)
    handle_errors(app)
    describe_problems(app)
    describe_keys(app, keys_needed(settings))
    _guard(app, settings, metrics)
    trace(app)
    return app


@asynccontextmanager
async def _shared(
    settings: Settings, metrics: Metrics, allowlist: Allowlist
) -> AsyncGenerator[Context]:
    """Open what requests share, and close it after the last of them."""
    store = Store.of(settings)
    with _databases(settings, metrics) as (database, writers), scratch_folder() as scratch:
        looks = Looks(database)
        access = Access(database, writers.database)
        shared = Context(
            settings,
            database,
            writers,
            looks,
            Streams(looks, access.holds),
            store,
            Dashboard(database, scratch),
            scratch,
            Admission(settings.max_upload_bytes),
            asyncio.Semaphore(READERS),
            Sweeper(writers.database, store, settings),
            Models(store),
            Pictures(),
            access,
            metrics,
            allowlist,
        )
        sender = Sender(writers.database, settings, allowlist, metrics.tries)
        shared.sweeper.start()
        sender.start()
        try:
            yield shared
        finally:
            shared.sweeper.stop()
            for part in (shared.streams, sender, shared.access, shared.dashboard, shared.pictures):
                await part.stop()
            looks.close()


@contextmanager
def _databases(settings: Settings, metrics: Metrics) -> Generator[tuple[Database, Writers]]:
    """Open what requests read with and what they write with, both timed."""
    database = Database.for_requests(settings)
    require_schema(database)
    writers = Writers(Database.for_requests(settings), settings.request_wait_seconds)
    metrics.watch(database, writers.database)
    try:
        yield database, writers
    finally:
        writers.database.close()
        database.close()


def _guard(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Put before every endpoint what turns requests away; the last added is asked first.

    Outside of all that are Harmless and Timed, for refusals are answers too.
    """

    def limit_of(path: str) -> int:
        if path == "/v1/datasets":
            return settings.max_upload_bytes
        return settings.max_predict_bytes if path.endswith("/predict") else settings.max_body_bytes

    app.add_middleware(Compression)
    app.add_middleware(BodyLimit, limit_of=limit_of)
    app.add_middleware(Door, closed=keys_needed(settings))
    app.add_middleware(SameOrigin)
    app.add_middleware(KnownHost, names=own_names(settings))
    app.add_middleware(Harmless)
    app.add_middleware(Timed, seconds=metrics.http)
