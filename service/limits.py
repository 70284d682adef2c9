"""Limits of a request's body, whatever it says of its size."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import problem
from service.refusing import refuse


class BodyLimit:
    """ASGI middleware: a body above `limit_of(path)` bytes is a 413, without reading it all."""

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self.app = app
        self.limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_of(scope["path"])
        if _announced(scope) > limit:
            await refuse(_too_large(limit), receive, send)
            return
        counted = _CountedBody(limit, receive, send)
        await self.app(scope, counted.receive, counted.send)
        if counted.overflowed:
            await refuse(_too_large(limit), receive, send)


class _CountedBody:
    """Counts what arrives; at an overflow the application's own answer is dropped."""

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self.left = limit
        self.overflowed = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            self.overflowed = True
            raise HTTPException(413)
        return message

    async def send(self, message: Message) -> None:
        if not self.overflowed:
            await self._send(message)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length[:18]) if length.isascii() and length.isdigit() else 0


def _too_large(limit: int) -> Response:
    return problem(413, f"The body is larger than {limit} bytes.")
