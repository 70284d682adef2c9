"""Answers that are text, compressed for whoever takes that."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_BYTES = 2048  # below that it saves no packet
LEVEL = 4  # of 9: half of the time for a tenth more bytes
COMPRESSED = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}  # of what is already
NOT_WORTH_IT = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream", "font/*")


class Compression:
    """ASGI middleware: gzip, but for event streams, parts and what is compressed or dense already.

    A part's Content-Range tells of bytes that are not compressed, so who asks for one gets those.
    Of what is compressed the entity tag becomes a weak one: the bytes are not those it was made of.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._app = GZipMiddleware(app, LEAST_BYTES, LEVEL, exclude_content_types=NOT_WORTH_IT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_weakened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                tag = headers.get("ETag", "W/")
                known = Headers(scope=scope).get("If-None-Match", "")
                weak = "gzip" in headers.get("Content-Encoding", "") or f"W/{tag}" in known
                if weak and not tag.startswith("W/"):
                    headers["ETag"] = f"W/{tag}"
            await send(message)

        asks_for_part = scope["type"] == "http" and "range" in Headers(scope=scope)
        await (self._plain if asks_for_part else self._app)(scope, receive, send_weakened)


def is_compressed(asked: Headers, size: int) -> bool:
    """Return True if an answer of so many bytes is compressed for who asks with these headers."""
    return (
        size >= LEAST_BYTES and "gzip" in asked.get("Accept-Encoding", "") and "Range" not in asked
    )
