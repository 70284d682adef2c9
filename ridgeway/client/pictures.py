"""Plots as a client fetches them: notebooks show them, and programs write them to files."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import httpx

from ridgeway.client.connection import Connection
from ridgeway.errors import NotFound, RidgewayError
from ridgeway.views import Job, PlotList, PlotSummary

FormatName: TypeAlias = Literal["svg", "png", "json"]
ThemeName: TypeAlias = Literal["light", "dark"]

SVG, PNG = "image/svg+xml", "image/png"
SPEC = "application/vnd.vegalite.v6+json"  # what notebooks call a spec of Vega-Lite
MEDIA_TYPES = {"svg": SVG, "png": PNG, "json": SPEC}

GLANCE = ("penalties", "path")  # the plots that stand beside an answer in a notebook
GLANCE_SECONDS = 20.0  # for each: the service's first plot takes some seconds


@dataclass(frozen=True, repr=False)
class Picture:
    """A plot as a file. `format` is svg, png or json: a Vega-Lite spec with its data."""

    name: str
    format: str
    content: bytes

    @property
    def spec(self) -> dict[str, Any]:
        """Return the spec of a plot that was fetched as json."""
        return json.loads(self.content)

    def save(self, path: Path | str) -> None:
        """Write the file."""
        Path(path).write_bytes(self.content)

    @property
    def image(self) -> str:
        """Return an SVG or PNG as an HTML element that needs no other file.

        As an image nothing in it is run or fetched, and its ids and styles are its own.
        """
        data = base64.b64encode(self.content).decode()
        source = f"data:{MEDIA_TYPES[self.format]};base64,{data}"
        name, style = html.escape(self.name), "display:block;max-width:100%;margin:8px 0"
        return f'<img alt="plot {name}" style="{style}" src="{source}">'

    def __repr__(self) -> str:
        return f"<plot {self.name}, {self.format}, {len(self.content):,} bytes>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return what IPython shows in the place of the object."""
        shown: Any = self.content
        if self.format == "json":
            shown = self.spec
        elif self.format == "svg":
            shown = self.content.decode()
        return {MEDIA_TYPES[self.format]: shown, "text/plain": repr(self)}


class Plots(Connection):
    """The calls of a client that fetch plots."""

    def plots(self, job: Job | str) -> list[PlotSummary]:
        """List the plots that the job has something of, each with what it shows."""
        return self._read(self._get(f"{self._job_path(job)}/plots"), PlotList).plots

    def plot(
        self,
        job: Job | str,
        name: str,
        format: FormatName = "svg",
        theme: ThemeName | None = None,
        width: int | None = None,
    ) -> Picture:
        """Fetch a plot, which notebooks show; `width` in pixels.

        NotFound while, or where, the job has nothing of the kind.
        """
        path = f"{self._job_path(job)}/plots/{quote(name, safe='')}"
        response = self._get(path, format=format, theme=theme, width=width)
        return Picture(name, format, response.content)

    def glance(self, job: Job | str) -> list[Picture]:
        """Fetch the plots that stand beside an answer, as SVG, each tried once.

        Those that there are: what a notebook shows unasked raises nothing and waits for nobody.
        """
        found: list[Picture] = []
        if self._http.is_closed:
            return found
        for name in GLANCE:
            try:
                path = f"{self._job_path(job)}/plots/{name}"
                asked = {"format": "svg", "theme": "light"}
                response = self._call("GET", path, params=asked, timeout=GLANCE_SECONDS)
            except NotFound:
                continue
            except (RidgewayError, httpx.HTTPError):
                break
            if response.headers.get("Content-Type", "").startswith(SVG):
                found.append(Picture(name, "svg", response.content))
        return found
