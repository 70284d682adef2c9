"""The front door: create_app joins routes, errors and limits; its lifespan owns the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
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
from service.hosts import KnownHost, own_names
from service.ingest import READERS
from service.limits import BodyLimit
from service.looks import Looks
from service.models import Models
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
from service.streams import Streams
from service.sweeper import Sweeper
from service.writers import Writers

DESCRIPTION = """Which penalty, and how strong? A hyperparameter search service for regularisation.

Errors are RFC 9457 `application/problem+json`; a bad field is named under `errors`."""


def create_app(settings: Settings) -> FastAPI:
    """Make the service's ASGI application; SchemaMismatch when it starts on another schema."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, Callable[[], None]]]:
        async with _shared(settings) as app.state.context:
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
        *(jobs, estimates, events, results, reports, predictions, plots),
        *(datasets, workers, audit, health, problem_pages, sign_in, dashboard),
    ):
        app.include_router(routes.router)
    for router in ROUTERS:
        app.include_router(router)
    handle_errors(app)
    describe_problems(app)
    describe_keys(app, keys_needed(settings))
    _guard(app, settings)
    return app


@asynccontextmanager
async def _shared(settings: Settings) -> AsyncGenerator[Context]:
    """Open what requests share, and close it after the last of them."""
    database = Database.for_requests(settings)
    require_schema(database)
    writers = Writers(Database.for_requests(settings), settings.request_wait_seconds)
    store = Store.of(settings)
    sweeper = Sweeper(writers.database, store, settings)
    looks = Looks(database)
    streams = Streams(looks)
    pictures = Pictures()
    access = Access(database, writers.database)
    with scratch_folder() as scratch:
        shown = Dashboard(database, scratch)
        sweeper.start()
        try:
            yield Context(
                settings,
                database,
                writers,
                looks,
                streams,
                store,
                shown,
                scratch,
                Admission(settings.max_upload_bytes),
                asyncio.Semaphore(READERS),
                sweeper,
                Models(store),
                pictures,
                access,
            )
        finally:
            sweeper.stop()
            await streams.stop()
            await access.close()
            await shown.stop()
            await pictures.stop()
            looks.close()
            writers.database.close()
            database.close()


def _guard(app: FastAPI, settings: Settings) -> None:
    """Put before every endpoint what turns requests away; the last added is asked first."""

    def limit_of(path: str) -> int:
        if path == "/v1/datasets":
            return settings.max_upload_bytes
        return settings.max_predict_bytes if path.endswith("/predict") else settings.max_body_bytes

    app.add_middleware(Compression)
    app.add_middleware(BodyLimit, limit_of=limit_of)
    app.add_middleware(Door, closed=keys_needed(settings))
    app.add_middleware(SameOrigin)
    app.add_middleware(KnownHost, names=own_names(settings))
