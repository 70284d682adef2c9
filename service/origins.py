"""Pages of other sites may not use a visitor's browser to change anything here."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import problem
from service.refusing import refuse

READING = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class SameOrigin:
    """ASGI middleware: 403 for a change that a page of another origin asks for.

    Browsers name the page's origin with every such request; other clients send none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in READING or _is_own(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        detail = "Pages of another origin may not change anything here: Origin is not the Host."
        await refuse(problem(403, detail), receive, send)


def is_from_own_page(headers: Headers) -> bool:
    """Return True where the browser says that a page of this service asks.

    A change that rests on a cookie needs that: what says nothing may be any page. Browsers send
    `Origin` with every change, and others send no cookies of ours.
    """
    if headers.getlist("origin"):
        return _is_own(headers)
    return headers.get("sec-fetch-site") == "same-origin"


def _is_own(headers: Headers) -> bool:
    """Return True if every Origin that is sent is the host that was asked; `null` never is."""
    host = headers.get("host", "").lower()
    return all(host in _hosts(origin) for origin in headers.getlist("origin"))


def _hosts(origin: str) -> set[str]:
    """Return the Host headers that name the origin: with the scheme's own port or without."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:  # brackets that are no IPv6 address
        return set()
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        return set()
    return {parts.netloc, parts.netloc + DEFAULT_PORTS[parts.scheme]}
