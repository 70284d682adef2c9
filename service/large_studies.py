"""A study too large for the dashboard: it is told so, instead of loading for a minute.

The dashboard takes every trial of a study into the browser at once. Its page of a large study is
one of ours, which says how large and where the trials can be read; its data, which a click inside
the dashboard asks for alone, is a problem. Who wants it nevertheless adds `?anyway=1` to either: a
cookie then lets the page's own requests through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from string import Template

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from ridgeway.database.engine import Database
from ridgeway.jobs.lookups import job_of_study
from ridgeway.study.questions import count_trials
from service.problems import problem

MOST_TRIALS = 10_000  # that the dashboard shows unasked; it takes some 10 s for them
ANYWAY = "anyway"  # the query parameter, and the cookie
_ADDRESS = re.compile(r"/(dashboard|api)/studies/(\d+)(?:/.*)?|/(csv)/(\d+)")


@dataclass(frozen=True)
class _Study:
    number: int
    trials: int
    job: str | None  # of ours, unless the study was imported

    @property
    def said(self) -> str:
        """Return the fact in a sentence."""
        return f"This study has {self.trials:,} trials, too many for the dashboard."

    def links(self) -> dict[str, str]:
        """Return where else its trials are, by what is found there."""
        if self.job is None:
            return {}
        trials = f"/v1/jobs/{self.job}/trials"
        return {"The best trials": f"{trials}?order=value", "All trials, as CSV": f"{trials}.csv"}


async def answer_for_large(database: Database, request: Request) -> Response | None:
    """Return what to answer instead of the dashboard; None where it may answer itself."""
    found = _ADDRESS.fullmatch(request.scope["path"])
    if found is None:
        return None
    part, number = found[1] or found[3], int(found[2] or found[4])
    asked = ANYWAY in request.query_params or (part != "dashboard" and ANYWAY in request.cookies)
    if asked:
        return None
    study = await run_in_threadpool(_look, database, number)
    if study.trials <= MOST_TRIALS:
        return None
    return _page(study) if part == "dashboard" else _too_large(study)


def let_through(request: Request, response: Response) -> None:
    """Let a page that is shown `?anyway=1` ask for its study's data, for an hour."""
    found = _ADDRESS.fullmatch(request.scope["path"])
    if found is not None and found[1] == "dashboard" and ANYWAY in request.query_params:
        # Under this path alone: another study asks anew, and so does the page itself.
        path = f"/api/studies/{found[2]}"
        response.set_cookie(ANYWAY, "1", 3600, path=path, httponly=True, samesite="strict")


def _look(database: Database, number: int) -> _Study:
    with database.reading() as transaction:
        trials = count_trials(transaction, number)
        job = job_of_study(transaction, number) if trials > MOST_TRIALS else None
    return _Study(number, trials, job)


def _too_large(study: _Study) -> Response:
    there = f"/dashboard/studies/{study.number}"
    elsewhere = "".join(f" {what}: {link}." for what, link in study.links().items())
    detail = f"{study.said}{elsewhere} To load it nevertheless: {there}?{ANYWAY}=1."
    # The dashboard shows the reader what is called `reason`.
    return problem(HTTPStatus.CONFLICT, detail, extensions={"reason": f"{study.said} See {there}"})


def _page(study: _Study) -> Response:
    items = "".join(
        f'<li><a href="{escape(link)}">{escape(what)}</a></li>'
        for what, link in study.links().items()
    )
    return HTMLResponse(
        _PAGE.substitute(
            trials=f"{study.trials:,}", most=f"{MOST_TRIALS:,}", items=items, anyway=f"?{ANYWAY}=1"
        ),
        headers={"Cache-Control": "no-store"},
    )


_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A large study: $trials trials</title>
<style>
  :root { color-scheme: light dark; --quiet: #5a6270; --link: #0b5cad; }
  @media (prefers-color-scheme: dark) { :root { --quiet: #a3abb8; --link: #7db8f0; } }
  body { max-width: 34rem; margin: 12vh auto 2rem; padding: 0 1.25rem;
         font: 1.0625rem/1.6 system-ui, sans-serif; }
  h1 { margin: 0; font-size: 2.25rem; line-height: 1.2; font-weight: 650; }
  p { margin: .75rem 0; }
  ul { margin: 1.5rem 0; padding: 0; list-style: none; }
  li { margin: .5rem 0; }
  a { color: var(--link); }
  .quiet { color: var(--quiet); font-size: .9375rem; }
</style>
<h1>$trials trials</h1>
<p>This study is too large for the dashboard, which takes every trial into your browser at once.</p>
<ul>$items</ul>
<p class="quiet">With more than $most trials that takes many seconds and a lot of memory.
<a href="$anyway">Load it nevertheless</a>, or go to <a href="/dashboard">all studies</a>.</p>
</html>
""")
