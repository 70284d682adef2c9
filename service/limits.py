"""Limits of a request's body: its size, whatever it says of it, and its pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import problem
from service.refusing import refuse

BODY_SECONDS = 20.0  # to wait for a body in all, and a second more
SLOWEST = 5_000  # for so many bytes that have come


class BodyLimit:
    """ASGI middleware: a body above `limit_of(path)` bytes is a 413, one that drips a 408."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self.app = app
        self.limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope["path"])
        if announced_size(Headers(scope=scope)) > limit:
            await refuse(_too_large(limit), receive, send)
            return
        body = _WatchedBody(limit, receive, send)
        await self.app(scope, body.receive, body.send)
        if body.refusal is not None:
            await refuse(body.refusal, receive, send)


class _WatchedBody:
    """Counts what arrives and how long that takes; once refused, the application's answer drops."""

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self.refusal: Response | None = None
        self._limit = limit
        self._size = 0
        self._waited = 0.0
        self._complete = False
        self._answered = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Wait for more of the body; after its end, for as long as the client stays."""
        if self._complete:
            return await self._receive()
        clock = asyncio.get_running_loop().time
        begun = clock()
        try:
            async with asyncio.timeout(BODY_SECONDS + self._size / SLOWEST - self._waited):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(problem(408, "The request's body came too slowly."))
        self._waited += clock() - begun
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return message if self._size <= self._limit else self._refuse(_too_large(self._limit))

    async def send(self, message: Message) -> None:
        """Send the application's answer, unless it is refused what it asked for."""
        if self.refusal is None:
            self._answered = True
            await self._send(message)

    def _refuse(self, refusal: Response) -> Message:
        """End the application's reading; to one that is answering already its client is gone."""
        if self._answered:
            return {"type": "http.disconnect"}
        self.refusal = refusal
        raise HTTPException(refusal.status_code)


def announced_size(headers: Headers) -> int:
    """Return the size in bytes that a request says its body has; 0 where it says none."""
    length = headers.get("content-length", "0")
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _too_large(limit: int) -> Response:
    return problem(413, f"The body is larger than {limit} bytes.")
