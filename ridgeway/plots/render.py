"""Plots as JSON, SVG and PNG, by vl-convert: no browser, no network, fonts of its own.

Rendering keeps Python's lock: a process with others to serve does it in another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.plot import Plot
from ridgeway.plots.theme import Theme

if TYPE_CHECKING:
    import altair as alt

Format: TypeAlias = Literal["json", "svg", "png"]

SHARPNESS = 2.0  # pixels of a PNG for each pixel of the page


@dataclass(frozen=True)
class Picture:
    """A drawn plot: a Vega-Lite spec, complete with its data, and its title: the finding."""

    title: str
    spec: dict[str, Any]

    def render(self, format: Format) -> bytes:
        """Return the picture as a file of this format; texts in UTF-8."""
        if format == "json":
            return json.dumps(self.spec, allow_nan=False, separators=(",", ":")).encode()
        import vl_convert

        # No spec of ours names an address; none would be followed.
        options: dict[str, Any] = {"vl_version": _version(self.spec), "allowed_base_urls": []}
        if format == "svg":
            return vl_convert.vegalite_to_svg(self.spec, **options).encode()
        return vl_convert.vegalite_to_png(self.spec, scale=SHARPNESS, **options)


def draw(plot: Plot, evidence: Evidence, theme: Theme) -> Picture | None:
    """Draw a plot of a job; None where the job has nothing of the kind."""
    chart = plot.draw(evidence, theme)
    return None if chart is None else finished(chart, theme)


def finished(chart: alt.TopLevelMixin, theme: Theme) -> Picture:
    """Give a chart its theme, and its data as lists."""
    spec = chart.to_dict(validate=False)  # which takes longer than to draw; tests do it
    spec["config"] = theme.config()
    spec["datasets"] = {name: json.loads(text) for name, text in spec["datasets"].items()}
    lines: str | list[str] = spec["title"]["text"]
    title = lines if isinstance(lines, str) else " ".join(lines)
    spec["description"] = title
    return Picture(title, spec)


def _version(spec: dict[str, Any]) -> str:
    """Return the release of Vega-Lite that the spec is written in, as vl-convert names it."""
    release = str(spec["$schema"]).rpartition("/")[2].removeprefix("v").removesuffix(".json")
    return ".".join(release.split(".")[:2])
