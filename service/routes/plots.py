"""/v1/jobs/{id}/plots: the pictures of a job and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Response

from ridgeway.errors import NotFound
from ridgeway.jobs.evidence import read_evidence
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import Format
from ridgeway.plots.theme import THEMES, WIDE, ThemeName
from ridgeway.views import PlotList, PlotSummary
from service.context import Context, IfNoneMatch, InContext, JobId
from service.pictures import Order
from service.problems import problems
from service.tags import NOT_MODIFIED, TAGGED, not_modified, tag_of, told_of

SPEC, SVG, PNG = "application/json", "image/svg+xml", "image/png"
MEDIA_TYPES: dict[Format, str] = {"json": SPEC, "svg": SVG, "png": PNG}
NARROWEST, WIDEST = 300, 2000  # pixels

router = APIRouter(prefix="/v1/jobs", tags=["plots"])


@dataclass(frozen=True)
class Look:
    """How a plot is asked to look; `width` in pixels."""

    format: Format
    theme: ThemeName
    width: int


async def _look(
    format: Annotated[Format, Query()] = "json",
    theme: Annotated[ThemeName, Query()] = "light",
    width: Annotated[
        int, Query(ge=NARROWEST, le=WIDEST, description="of the picture, in pixels")
    ] = WIDE,
) -> Look:
    return Look(format, theme, width)


PlotName: TypeAlias = Annotated[str, Path(json_schema_extra={"enum": [*PLOTS]})]


@router.get(
    "/{id}/plots",
    response_model=PlotList,
    responses={200: {"headers": TAGGED}, **NOT_MODIFIED, **problems(404, 409)},
)
async def plots(id: JobId, context: InContext, if_none_match: IfNoneMatch = None) -> Response:
    """List the plots that the job has something of, each with its title: what it shows."""
    tag = await _tag(context, id, "plots")
    if (same := not_modified(if_none_match, tag)) is not None:
        return same
    evidence = await _evidence(context, id)
    drawn = await context.pictures.draw(Order(evidence, [*PLOTS], THEMES["light"], None))
    listed = PlotList(
        plots=[
            PlotSummary(
                name=each.name,
                subject=PLOTS[each.name].title,
                title=each.title,
                link=f"/v1/jobs/{id}/plots/{each.name}",
            )
            for each in drawn
        ]
    )
    return Response(listed.model_dump_json(), headers=told_of(tag), media_type="application/json")


@router.get(
    "/{id}/plots/{name}",
    response_class=Response,
    responses={
        200: {
            "content": {
                SPEC: {"schema": {"type": "object"}},
                SVG: {"schema": {"type": "string"}},
                PNG: {"schema": {"type": "string", "format": "binary"}},
            },
            "description": "The plot: a Vega-Lite spec with its data, or a picture",
            "headers": TAGGED,
        },
        **NOT_MODIFIED,
        **problems(404, 409, 422),
    },
)
async def plot(
    id: JobId,
    name: PlotName,
    context: InContext,
    look: Annotated[Look, Depends(_look)],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Draw a plot of the job; 404 while, or where, the job has nothing of the kind."""
    if name not in PLOTS:
        raise NotFound(f"There is no plot {name[:100]!r}; there are: {', '.join(PLOTS)}.")
    tag = await _tag(context, id, f"{name} {look}")
    if (same := not_modified(if_none_match, tag)) is not None:
        return same
    evidence = await _evidence(context, id)
    order = Order(evidence, [name], THEMES[look.theme].wide(look.width), look.format)
    drawn = await context.pictures.draw(order)
    if not drawn:
        when = "" if evidence.job.ended else " yet"
        raise NotFound(f"Job {id} has nothing to draw of {name!r}{when}.")
    headers = told_of(tag)
    if look.format == "svg":
        # A picture, whatever names are in it: nothing of it is run where it is opened.
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return Response(drawn[0].file, headers=headers, media_type=MEDIA_TYPES[look.format])


async def _tag(context: Context, id: str, asked: str) -> str:
    """Return the tag of what is drawn of a job as it is now, by this release."""
    seen = await context.looks.job(id)
    return tag_of(f"{seen.tag} {asked} {version('ridgeway')}")


async def _evidence(context: Context, id: str) -> Evidence:
    return await to_thread.run_sync(
        read_evidence, context.database, context.store, id, limiter=context.pictures.readers
    )
