"""How long requests wait for their answers, by route: never by what a client has written."""

from __future__ import annotations

import time

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import METHODS

NO_ROUTE = "none"  # what no route answers, or was turned away before
OTHER = "other"  # a method that is none of HTTP's usual ones


class Timed:
    """ASGI middleware: observes the seconds to the head of each answer.

    Not to its end: a stream of events may last for hours, and a client reads at its own pace.
    """

    def __init__(self, app: ASGIApp, seconds: Histogram) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = scope["method"] if scope["method"] in METHODS else OTHER
                status = f"{message['status'] // 100}xx"
                seconds = time.perf_counter() - begun
                self.seconds.labels(_route(scope), method, status).observe(seconds)
            await send(message)

        await self.app(scope, receive, timed)


def _route(scope: Scope) -> str:
    """Return the template of the route that answers, such as `/v1/jobs/{id}`."""
    return getattr(scope.get("route"), "path", None) or NO_ROUTE
