"""/problems: what each kind of problem means, for whoever follows the `type` of one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from ridgeway.errors import NotFound
from service.problem_types import BY_NAME, ProblemType

router = APIRouter(prefix="/problems", include_in_schema=False)

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


@router.get("")
async def index() -> HTMLResponse:
    """List all kinds of problems."""
    return _page("Problems", [_section(each) for each in BY_NAME.values()])


@router.get("/{name}")
async def problem_page(name: str) -> HTMLResponse:
    """Say what a kind of problem means and what can be done."""
    if name not in BY_NAME:
        raise NotFound(f"There is no problem {name[:100]!r}; there are: {', '.join(BY_NAME)}.")
    return _page(BY_NAME[name].title, [_section(BY_NAME[name])])


def _page(title: str, sections: Sequence[str]) -> HTMLResponse:
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)} - Ridgeway</title></head>"
        f'<body><main>{"".join(sections)}<p><a href="/problems">All problems</a></p></main>'
        "</body></html>"
    )
    return HTMLResponse(page, headers=HEADERS)


def _section(kind: ProblemType) -> str:
    heading = f"<h1>{escape(kind.title)} ({kind.status})</h1>"
    return f"{heading}<p>{_prose(kind.meaning)}</p><p>{_prose(kind.remedy)}</p>"


def _prose(text: str) -> str:
    """Return a text whose words in backquotes are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{each}</code>" if odd % 2 else each for odd, each in enumerate(parts))
