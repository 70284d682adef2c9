"""The report of a job that was run here, where what draws it is installed."""

from __future__ import annotations

from ridgeway.local.folder import Place

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
