"""Plots as SVG inside the page, drawn once: style rules turn the light theme's colours dark.

A plot's colours are those of its theme and of penalties, each written out on the shape that has it,
so that `[fill="#0072b2"] { fill: #3d9fe0 }` is all that a dark page takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from html import escape
from typing import Any

from markupsafe import Markup

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.palette import colour
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import draw
from ridgeway.plots.theme import THEMES
from ridgeway.spec.names import UNPENALISED

# What a picture that is read as a whole has no use for.
_NEEDLESS = re.compile(r' (?:role|class|pointer-events|aria-[a-z]+|xmlns:xlink|version)="[^"]*"')
_GEOMETRY = re.compile(r' (?:d|transform|x|y|x2|y2|width|height)="[^"]*"')
_DIGITS = re.compile(r"(\.\d\d)\d+(?:e-\d+)?")
_TINY = re.compile(r"\d(?:\.\d+)?e-\d+")
_ID = re.compile(r' id="([^"]*)"')
_OPENING = re.compile(r"^<svg[^>]*?viewBox=(\"[^\"]*\")[^>]*>")


@dataclass(frozen=True)
class Figure:
    """A plot: its name, its finding in words, what is drawn, and its SVG."""

    name: str
    finding: str
    drawn: str
    svg: Markup


def figures(evidence: Evidence) -> dict[str, Figure]:
    """Draw every plot that the job has something for, in the list's order."""
    found: dict[str, Figure] = {}
    for plot in PLOTS.values():
        picture = draw(plot, evidence, THEMES["light"])
        if picture is not None:
            # The page writes the title: in its own letters, and in as many lines as it takes.
            drawn = _words(picture.spec.pop("title"))
            svg = inside_a_page(picture.render("svg").decode(), plot.name, picture.title)
            found[plot.name] = Figure(plot.name, picture.title, drawn, Markup(svg))  # nosec B704 # vl-convert's, escaped
    return found


def _words(title: dict[str, Any]) -> str:
    """Return a title's second part, which says what is drawn."""
    lines: str | list[str] = title.get("subtitle", "")
    return lines if isinstance(lines, str) else " ".join(lines)


def absent(found: Iterable[str]) -> list[str]:
    """Return the titles of plots that the job has nothing for."""
    there = set(found)
    return [plot.title for plot in PLOTS.values() if plot.name not in there]


def inside_a_page(svg: str, name: str, finding: str) -> str:
    """Return an SVG of ours as a part of a page that has others: its ids are its own.

    Positions are rounded to a hundredth of a pixel, and what is told mark by mark is left out: the
    picture is an image, whose text is the finding.
    """
    svg = _NEEDLESS.sub("", svg)
    svg = _GEOMETRY.sub(lambda found: _rounded(found[0]), svg)
    for place, own in enumerate(dict.fromkeys(_ID.findall(svg)), 1):
        # Numbers go on from picture to picture: the same page would have others each time.
        svg = re.sub(rf"(?<=[\"#]){re.escape(own)}(?=[\")])", f"{name}-{place}", svg)
    label = escape(finding)
    return _OPENING.sub(
        lambda found: f'<svg viewBox={found[1]} role="img" aria-label="{label}">', svg
    )


def _rounded(attribute: str) -> str:
    return _DIGITS.sub(r"\1", _TINY.sub("0", attribute))


def dark_rules(evidence: Evidence) -> str:
    """Return the styles that recolour the pictures of a job for a dark page."""
    pairs = {own: there for own, there in _pairs(evidence) if own != there}
    return "".join(
        f'svg [{what}="{own}"]{{{what}:{there}}}'
        for own, there in pairs.items()
        for what in ("fill", "stroke")
    )


def _pairs(evidence: Evidence) -> Iterable[tuple[str, str]]:
    light, dark = THEMES["light"], THEMES["dark"]
    for field in fields(light):
        if field.name != "name":
            yield getattr(light, field.name), getattr(dark, field.name)
    for penalty in dict.fromkeys([UNPENALISED, *evidence.spec.search.penalty]):
        yield colour(penalty), colour(penalty, dark=True)
