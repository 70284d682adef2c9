"""/sign-in: a page takes a key once, and a cookie stands for it until /sign-out or the evening.

The cookie is a random session, of which the database keeps a hash: it tells nothing of the key, and
ends at once for everybody when it is signed out of.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import Headers

from ridgeway.keys.caller import Caller
from ridgeway.keys.sessions import SECONDS, begin_session, end_session
from service.access.door import COOKIE, MANY_WRONG, session_of
from service.access.visits import visitor
from service.context import Context, InContext
from service.origins import is_from_own_page
from service.pages.environment import page
from service.problems import problem

MOST_FIELDS = 10  # of a form
WRONG = "This key does not hold: it is unknown, revoked, or out of date."
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    # With none, browsers send `Origin: null`, which could be any page.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")


@router.get("/sign-in")
async def show(request: Request, next: str = "/") -> Response:
    """Show the page; `next` is where its reader wanted to go, at once where all are let in."""
    if getattr(request.state, "caller", None) is not None:  # the door is open
        return RedirectResponse(local_path(next), 303, HEADERS)
    return _page(request, next)


@router.post("/sign-in")
async def sign_in(request: Request, context: InContext) -> Response:
    """Take a key by a form; answer with the cookie, and the page that was wanted."""
    if not is_from_own_page(request.headers):
        return problem(403, "To sign in is for the page /sign-in: no Origin says that it asks.")
    form = await _form(request)
    wanted = form.get("next", "/")
    caller = await context.access.caller_by_key(form.get("key", "").strip())
    if caller is None:
        address = request.client.host if request.client else ""
        if seconds := context.access.seconds_after_wrong(address):
            return _too_often(request, wanted, seconds)
        log.warning("a sign-in from %s was refused", address)
        return _page(request, wanted, WRONG, 403)
    session = await _begin(request, context, caller)
    answer = RedirectResponse(local_path(wanted), 303, HEADERS)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, session, int(SECONDS), httponly=True, samesite="strict", secure=secure
    )
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, context: InContext) -> Response:
    """End the session of the cookie, here and everywhere; show the page to sign in."""
    if not is_from_own_page(request.headers):
        return problem(
            403, "To sign out is for pages of the service: no Origin says that one asks."
        )
    session = session_of(Headers(scope=request.scope))
    caller = None if session is None else await context.access.caller_by_session(session)
    if session is not None and caller is not None:
        visitor.set((caller, request.scope))
        await context.writers.write(lambda transaction: end_session(transaction, session))
        context.access.forget()
    answer = RedirectResponse("/sign-in", 303, HEADERS)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def _begin(request: Request, context: Context, caller: Caller) -> str:
    """Begin a session of the key; the audit log tells of it."""
    visitor.set((caller, request.scope))
    session = await context.writers.write(
        lambda transaction: begin_session(transaction, str(caller.key))
    )
    context.access.forget()
    return session


def local_path(wanted: str) -> str:
    """Return a path of this service; `/` for whatever could lead a browser elsewhere.

    `//host`, `/\\\\host` and what a browser makes of tabs and line ends are other sites' addresses.
    """
    return wanted if _LOCAL.fullmatch(wanted) else "/"


def _page(request: Request, wanted: str, wrong: str = "", status: int = 200) -> Response:
    """Return the page that asks for a key; `wrong` is told at its field."""
    answer = page(request, "sign-in.html.jinja", status, next=local_path(wanted), wrong=wrong)
    answer.headers.update(HEADERS)
    return answer


def _too_often(request: Request, wanted: str, seconds: int) -> Response:
    """Return the page of somebody who tries keys too soon."""
    answer = _page(request, wanted, f"{MANY_WRONG} Try again in {seconds} s.", 429)
    answer.headers["Retry-After"] = str(seconds)
    return answer


async def _form(request: Request) -> dict[str, str]:
    """Read the last value of each field of a form; nothing of what is no form."""
    text = (await request.body()).decode(errors="replace")
    try:
        return {
            name: values[-1] for name, values in parse_qs(text, max_num_fields=MOST_FIELDS).items()
        }
    except ValueError:
        return {}
