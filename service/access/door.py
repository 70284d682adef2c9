"""The one door: everything stands behind it but signing in and whether the service is well.

    Authorization: Bearer KEY       programs; the key's scope says what they may
    Cookie: ridgeway-session=...    browsers, once their reader has signed in with a key

It is closed by default: a path that nobody thought of needs a key as all others do. To read needs
the scope `read`, to change anything `submit`; a route that needs `admin` says so, by
`Depends(admin_only)`.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ridgeway.errors import Forbidden
from ridgeway.keys.caller import LOCAL, Caller
from service.access.access import Access
from service.access.asking import require_scope
from service.access.visits import object_of, visit_of, visitor
from service.origins import READING, is_from_own_page
from service.problems import database_problem, problem
from service.refusing import refuse

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/sign-in", "/sign-out"})
OPEN_BELOW = "/assets/"  # the style and the scripts of pages, which hold nobody's data
COOKIE = "ridgeway-session"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ridgeway"'}
MANY_WRONG = "Too many keys that don't hold came from this address."
TOLD_REFUSALS = frozenset({403, 404, 409})  # of changes, that go into the audit log


class Door:
    """ASGI middleware: lets in who has a key, or everybody where none is asked for."""

    def __init__(self, app: ASGIApp, closed: bool) -> None:
        self.app = app
        self.closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        elif not self.closed:
            await self._let_in(LOCAL, scope, receive, send)
        elif is_open(scope["path"]):
            await self.app(scope, receive, send)
        else:
            await self._ask(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in who shows a key or a session that holds; tell others what they lack."""
        access: Access = scope["app"].state.context.access
        headers = Headers(scope=scope)
        try:
            caller, by_cookie = await _identify(access, headers)
        except (DBAPIError, PoolTimeout) as error:  # before the application, which would tell it
            await refuse(database_problem(error), receive, send)
            return
        if caller is None:
            await refuse(_unknown(access, scope, headers), receive, send)
            return
        refusal = _too_often(access, caller, scope) or _not_allowed(
            caller, scope, headers, by_cookie
        )
        if refusal is not None:
            _note(access, caller, scope, refusal.status_code)
            await refuse(refusal, receive, send)
            return
        await self._let_in(caller, scope, receive, _Watched(send, access, caller, scope).send)

    async def _let_in(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        state["caller"] = caller
        token = visitor.set((caller, scope))
        try:
            await self.app(scope, receive, send)
        finally:
            visitor.reset(token)


def is_open(path: str) -> bool:
    """Return True for what stands before the door."""
    return path in OPEN_PATHS or path.startswith(OPEN_BELOW)


async def _identify(access: Access, headers: Headers) -> tuple[Caller | None, bool]:
    """Return who asks, and whether a cookie says so. A key that is sent is all that counts."""
    key = bearer_of(headers)
    if key is not None:
        return await access.caller_by_key(key), False
    session = session_of(headers)
    return (None if session is None else await access.caller_by_session(session)), True


def bearer_of(headers: Headers) -> str | None:
    """Return the bearer token; of several none, which is no key. None where none is sent."""
    found = [each for each in headers.getlist("authorization") if each[:7].lower() == "bearer "]
    if not found:
        return None
    return found[0][7:].strip() if len(found) == 1 else ""


def session_of(headers: Headers) -> str | None:
    """Return what the session's cookie holds."""
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(COOKIE)


# --- refusals ---------------------------------------------------------------------------------


def _unknown(access: Access, scope: Scope, headers: Headers) -> Response:
    """Send a browser to the page where one signs in; tell a program that its key does not hold."""
    if bearer_of(headers) is not None:
        address = scope["client"][0] if scope.get("client") else ""
        if seconds := access.seconds_after_wrong(address):
            return too_many(MANY_WRONG, seconds)
        detail = "The key does not hold: it is unknown, revoked, or out of date."
        challenge = f'{CHALLENGE["WWW-Authenticate"]}, error="invalid_token"'
        return problem(401, detail, headers={"WWW-Authenticate": challenge})
    if scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        wanted = quote(scope["raw_path"] + query, safe="/")
        return RedirectResponse(f"/sign-in?next={wanted}", 303, {"Cache-Control": "no-store"})
    detail = (
        "This service asks for a key: send `Authorization: Bearer KEY`, or sign in at /sign-in."
    )
    return problem(401, detail, headers=CHALLENGE)


def _too_often(access: Access, caller: Caller, scope: Scope) -> Response | None:
    if scope["path"].startswith("/assets/"):  # ten a page, without anybody's data
        return None
    if seconds := access.seconds_to_wait(caller):
        most = caller.limits.requests_per_minute
        return too_many(f"The key {caller.prefix} may ask {most:,} times a minute.", seconds)
    return None


def too_many(detail: str, seconds: int) -> Response:
    """Return the problem of a request that comes too soon."""
    return problem(
        429, f"{detail} Try again in {seconds} s.", headers={"Retry-After": str(seconds)}
    )


def _not_allowed(
    caller: Caller, scope: Scope, headers: Headers, by_cookie: bool
) -> Response | None:
    """Refuse a change that the scope does not allow, or that a page of another origin may ask for.

    A browser sends the cookie by itself, so a change needs proof that a page of ours has asked.
    """
    if scope["method"] in READING:
        return None
    try:
        require_scope(caller, "submit")
    except Forbidden as error:
        return problem(403, str(error))
    if by_cookie and not is_from_own_page(headers):
        detail = "A change by cookie must come from a page of this service: no Origin says so."
        return problem(403, detail)
    return None


# --- what is noted of answers -----------------------------------------------------------------


class _Watched:
    """Keeps answers out of shared caches, and notes changes that were refused."""

    def __init__(self, send: Send, access: Access, caller: Caller, scope: Scope) -> None:
        self._send = send
        self._access = access
        self._caller = caller
        self._scope = scope

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Cache-Control", "private, no-cache")
            _note(self._access, self._caller, self._scope, message["status"])
        await self._send(message)


def _note(access: Access, caller: Caller, scope: Scope, status: int) -> None:
    if scope["method"] not in READING and status in TOLD_REFUSALS:
        access.note_refusal(visit_of(caller, scope), object_of(scope), status)
