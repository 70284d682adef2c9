"""Report and plots of a job that was run here, where what draws them is installed."""

from __future__ import annotations

from ridgeway.client.pictures import Picture
from ridgeway.errors import InvalidInput, NotFound, RidgewayError
from ridgeway.jobs.evidence import read_evidence
from ridgeway.local.folder import Place
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import draw
from ridgeway.plots.theme import THEMES

DRAWING = ("altair", "jinja2", "vl_convert")  # of the extra `local`, or `plots`


def report_of(place: Place, job_id: str, model: str | None) -> str | None:
    """Return the job's report, one HTML page; None where the packages that draw it lack."""
    try:
        from ridgeway.jobs.reporting import read_material
        from ridgeway.report.page import render_report

        return render_report(read_material(place.database, place.store, job_id), model)
    except ModuleNotFoundError as error:
        if error.name not in DRAWING:
            raise
        return None


def plot_of(place: Place, job_id: str, name: str) -> Picture:
    """Return a plot of the job as SVG; NotFound where it has nothing of the kind.

    InvalidInput for a name that no plot has, RidgewayError where the packages that draw it lack.
    """
    if name not in PLOTS:
        raise InvalidInput(f"There is no plot {name!r}; accepted: {', '.join(PLOTS)}.")
    try:
        evidence = read_evidence(place.database, place.store, job_id)
        drawn = draw(PLOTS[name], evidence, THEMES["light"])
        if drawn is None:
            raise NotFound(f"The job has nothing to draw as '{name}'.")
        return Picture(name, "svg", drawn.render("svg"))
    except ModuleNotFoundError as error:
        if error.name not in DRAWING:
            raise
        raise RidgewayError("Nothing here draws plots: pip install 'ridgeway[local]'.") from None
