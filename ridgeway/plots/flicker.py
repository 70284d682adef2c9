"""The plot `flicker`: weights about zero, under a subgradient's steps and under proximal ones."""

from __future__ import annotations

from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.text import plain
from ridgeway.plots.theme import Theme
from ridgeway.shown import Flicker
from ridgeway.words import number

ROW = 58  # pixels of a weight's row
REACH = 0.36  # of a row, that the farthest step takes to either side
GAP = 20
KINDS = ("subgradient", "proximal")


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a row for each weight, and a frame for each kind of step."""
    found = None if evidence.shown is None else evidence.shown.flicker
    if found is None or not found.traces:
        return None
    names = 96 if theme.narrow else 150
    room = parts.frame(theme, names, GAP + 4) // 2
    frames = [
        _frame(found, kind, theme, names if kind == KINDS[0] else 0).properties(
            width=room, height=ROW * len(found.traces)
        )
        for kind in KINDS
    ]
    caption = (
        f"A linear model on {found.rows:,} rows of this job with λ = {number(found.strength)} on "
        f"Σ |w|, trained twice by steps of the same length: the last {_steps(found)} of "
        f"{found.steps}. One height for all; dots are exact zeros."
    )
    chart = alt.hconcat(*frames, spacing=GAP)
    return chart.properties(title=parts.title(theme, finding(found), caption))


def finding(found: Flicker) -> str:
    """Say how many weights each kind of step has set to zero."""
    own, other = found.subgradient_zeros[-1], found.proximal_zeros[-1]
    jumps = "jumps about zero and sets no weight to it" if not own else f"sets {own:,} to zero"
    return (
        f"The subgradient {jumps}; the proximal step sets {other:,} of {found.weights:,} to "
        "exactly zero"
    )


def _steps(found: Flicker) -> int:
    return len(found.traces[0].subgradient)


def _frame(found: Flicker, kind: str, theme: Theme, names: int) -> Any:
    first = found.steps - _steps(found) + 1
    middles = [
        {"pixel": ROW * (place + 0.5), "name": plain(own.name, 14 if theme.narrow else 24)}
        for place, own in enumerate(found.traces)
    ]
    colour, y = theme.penalty("l1"), alt.Y("pixel:Q", scale=None, axis=None)
    scale = alt.Scale(domain=[first, found.steps], nice=False)
    x = alt.X(
        "step:Q",
        scale=scale,
        axis=alt.Axis(title="step", grid=False, values=[first, found.steps]),
    )
    base = alt.Chart(parts.data(_rows(found, kind, first))).encode(x=x, y=y)
    layers = [
        alt.Chart(parts.data(middles)).mark_rule(color=theme.grid).encode(y=y),
        base.mark_line(strokeWidth=1.4, color=colour).encode(detail="line:N"),
        base.transform_filter("datum.zero").mark_point(
            filled=True, size=20, color=colour, opacity=1
        ),
    ]
    if names:
        text = alt.Chart(parts.data(middles)).mark_text(
            align="left", dx=-names, color=theme.ink, fontSize=12
        )
        layers.append(text.encode(x=alt.value(0), y=y, text="name:N"))
    title = alt.TitleParams(
        f"{kind} step" if kind == "proximal" else kind,
        fontSize=12,
        color=theme.ink,
        frame="group",
        offset=6,
    )
    return alt.layer(*layers).properties(title=title)


def _rows(found: Flicker, kind: str, first: int) -> list[dict[str, Any]]:
    """Return each weight after each step, from the first one shown, in pixels of the frame."""
    farthest = max(abs(w) for own in found.traces for w in (*own.subgradient, *own.proximal)) or 1.0
    rows: list[dict[str, Any]] = []
    for place, own in enumerate(found.traces):
        line = own.subgradient if kind == "subgradient" else own.proximal
        middle = ROW * (place + 0.5)
        rows += [
            {
                "line": place,
                "step": first + step,
                "pixel": middle - REACH * ROW * weight / farthest,
                "zero": weight == 0,
            }
            for step, weight in enumerate(line)
        ]
    return rows
