"""Answering a request whose body has not been read."""

from __future__ import annotations

import asyncio

from fastapi import Response
from starlette.types import Message, Receive, Send

LINGER_SECONDS = 2.0


async def refuse(response: Response, receive: Receive, send: Send) -> None:
    """Answer at once and close the connection, but read on for a moment before.

    A connection closed on unread bytes is reset, and the client would never see the answer.
    """
    response.headers["Connection"] = "close"
    start: Message = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})
