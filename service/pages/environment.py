"""How a page is made: a template in which every value is escaped, and headers that let little in.

    return page(request, "jobs.html.jinja", jobs=found)

Nothing on a page is inline, so its policy allows scripts and styles of this service alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ridgeway.plots.palette import slot
from ridgeway.report.environment import with_code
from ridgeway.words import count, duration, mean_count, moment, number, roughly, size
from service.pages.assets import asset_url

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
KEY_OPTION = ' \\\n  -H "Authorization: Bearer $RIDGEWAY_API_KEY"'
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A page shows what is so now, and the way back in a browser asks again.
    "Cache-Control": "private, no-store",
}


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {
        "number": number,
        "mean_count": mean_count,
        "count": count,
        "duration": duration,
        "moment": moment,
        "bytes": size,
        "roughly": roughly,
        "code": with_code,
        "slot": slot,
    }
    made.filters.update(filters)  # pyright: ignore[reportUnknownMemberType] - jinja's own dict
    made.globals.update(asset=asset_url, release=version("ridgeway"))  # pyright: ignore[reportUnknownMemberType]
    return made


PAGES = _environment()


def page(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template as the answer to a request.

    Templates have `caller` too: who is signed in, None where nobody has to be; and `key_option`,
    what a command of curl has for the key, or nothing.
    """
    caller = _signed_in(request)
    html = PAGES.get_template(template).render(
        path=request.scope["path"], caller=caller, key_option=KEY_OPTION if caller else "", **values
    )
    return HTMLResponse(html, status, headers=HEADERS)


def _signed_in(request: Request) -> str | None:
    """Return whose key the request has, or what that begins with; None where there is none."""
    caller: Any = getattr(request.state, "caller", None)
    if caller is None or caller.key is None:
        return None
    return caller.name or caller.prefix
