"""The plot `parallel`: each trial as a line through all of its parameters, to its value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.parts import Point
from ridgeway.plots.theme import Theme
from ridgeway.words import number

MOST = 300  # trials that are drawn
HEIGHT = 240
LACKING = -0.14  # where a trial without the parameter is drawn, of the axis' height
BEST_SHARE = 10  # one in so many trials is drawn strongly
LOGARITHMIC = 50.0  # a parameter whose ends are so many times apart has a logarithmic axis
FEWEST = 5  # trials
SCALE = alt.Scale(domain=[LACKING, 1], nice=False)


@dataclass(frozen=True)
class Axis:
    """A parameter: its name, and each trial's height by its place in the columns: 0 to 1."""

    name: str
    heights: Mapping[int, float]
    low: str = ""
    high: str = ""
    levels: Mapping[str, float] = field(default_factory=dict[str, float])  # of categories


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a line for each trial, the best strongly; None of few trials, or with one parameter."""
    found = parts.points(evidence)
    if len(found) < FEWEST:
        return None
    axes = _axes(evidence, theme, found)
    if len(axes) < 3:
        return None
    best = found[: max(1, len(found) // BEST_SHARE)]
    drawn = parts.thinned(found, MOST)
    left = parts.names_width(axes[0].levels)
    width = parts.frame(theme, left, 30)
    x = alt.X("axis:Q", axis=None, scale=alt.Scale(domain=[0, len(axes) - 1], nice=False))
    y = alt.Y("height:Q", axis=None, scale=SCALE)
    strong = {point.place for point in best}
    lines = alt.Chart(parts.data(_lines(axes, drawn, strong, theme))).encode(x=x, y=y)
    worst_first = lines.mark_line(strokeWidth=1.3).encode(
        detail="order:Q",
        color=alt.Color("colour:N", scale=None),
        strokeOpacity=alt.StrokeOpacity("opacity:Q", scale=None),  # `opacity` is slow as PNG
    )
    chart = alt.layer(worst_first, *_furniture(axes, theme, (x, y)))
    lacking = any(point.place not in axis.heights for axis in axes for point in drawn)
    caption = (
        f"A line a trial, in its penalty's colour; strong: the best {len(best)} of {len(found):,}.",
        "Below an axis: without that parameter." if lacking else "",
        parts.sampled(evidence, len(drawn)),
    )
    return chart.properties(
        width=width, height=HEIGHT, title=parts.title(theme, _finding(evidence, best), *caption)
    )


def _finding(evidence: Evidence, best: Sequence[Point]) -> str:
    """Say what the best tenth have in common: their penalty, or the range of their λ."""
    penalties = parts.penalties_of(best)
    strengths = [point.strength for point in best if point.strength]
    count = f"The best {len(best)} of" if len(best) > 1 else "The best of"
    trials = f"{count} {evidence.trials.there_are:,} trials"
    if len(penalties) == 1:
        told = f"{trials} {'have' if len(best) > 1 else 'has'} {parts.label(penalties[0])}"
    else:
        told = f"{trials} have {len(penalties)} different penalties"
    if not strengths:
        return told
    low, high = number(min(strengths)), number(max(strengths))
    return f"{told}, λ = {low}" if low == high else f"{told}, λ from {low} to {high}"


def _axes(evidence: Evidence, theme: Theme, found: Sequence[Point]) -> list[Axis]:
    """Return an axis for each parameter that varies, and that of the value last."""
    trials = evidence.trials
    columns: dict[str, Sequence[Any]] = {
        "penalty": trials.penalty,
        "lambda": trials.strength,
        **trials.params,
    }
    axes = [
        axis
        for name, column in columns.items()
        if (axis := _axis(name, {p.place: column[p.place] for p in found})) is not None
    ]
    reach, maximise = parts.reach_of(evidence, found), evidence.spec.maximise
    low, high = parts.cut_at([p.value for p in found], maximise, reach, room=0)
    ends = (low, high) if maximise else (high, low)
    heights = {p.place: _share(p.value, *ends) for p in found}
    return [*axes, Axis(parts.measure(evidence), heights, number(ends[0]), number(ends[1]))]


def _share(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _axis(name: str, values: Mapping[int, Any]) -> Axis | None:
    """Return a parameter's axis; None where all trials that have it have it alike."""
    known = {place: value for place, value in values.items() if value is not None}
    if len({str(value) for value in known.values()}) < 2:
        return None
    if any(isinstance(value, str) for value in known.values()):
        return _categories(name, {place: str(value) for place, value in known.items()})
    numbers = {place: float(value) for place, value in known.items()}
    low, high = min(numbers.values()), max(numbers.values())
    if low > 0 and high / low > LOGARITHMIC:
        heights = {
            place: _share(math.log(own), math.log(low), math.log(high))
            for place, own in numbers.items()
        }
    else:
        heights = {place: _share(own, low, high) for place, own in numbers.items()}
    return Axis(parts.word(name), heights, number(low), number(high))


def _categories(name: str, known: Mapping[int, str]) -> Axis:
    levels = sorted(set(known.values()), reverse=True)
    own = {level: place / (len(levels) - 1) for place, level in enumerate(levels)}
    heights = {place: own[level] for place, level in known.items()}
    return Axis(parts.word(name), heights, levels=own)


def _lines(
    axes: Sequence[Axis], drawn: Sequence[Point], strong: set[int], theme: Theme
) -> list[dict[str, Any]]:
    """Return the lines' corners, the best trial's last: it is drawn above the others."""
    return [
        {
            "order": len(drawn) - order,
            "axis": place,
            "height": round(axis.heights.get(point.place, LACKING), 4),
            "colour": theme.penalty(point.penalty),
            "opacity": 0.85 if point.place in strong else 0.14,
        }
        for order, point in reversed(list(enumerate(drawn)))
        for place, axis in enumerate(axes)
    ]


def _furniture(axes: Sequence[Axis], theme: Theme, at: tuple[alt.X, alt.Y]) -> list[alt.Chart]:
    """Draw the axes, their names and ends."""
    names = [axis.name.rpartition(" ") for axis in axes]  # in two lines, the last word below
    ends = [
        {
            "axis": place,
            "height": 0,
            "top": 1,
            "first": names[place][0],
            "last": names[place][2],
            "low": axis.low,
            "high": axis.high,
        }
        for place, axis in enumerate(axes)
    ]
    base = alt.Chart(parts.data(ends)).encode(x=at[0], y=at[1])
    top = base.encode(y=alt.Y("top:Q", axis=None, scale=SCALE))
    size = 10 if theme.narrow else 12
    return [
        base.mark_rule(color=theme.muted).encode(y2="top:Q"),
        top.mark_text(dy=-36, baseline="bottom", fontSize=size, color=theme.ink).encode(
            text="first:N"
        ),
        top.mark_text(dy=-22, baseline="bottom", fontSize=size, color=theme.ink).encode(
            text="last:N"
        ),
        top.mark_text(dy=-8, baseline="bottom", color=theme.muted).encode(text="high:N"),
        *parts.haloed(base.encode(text="low:N"), theme, dy=12, color=theme.muted),
        *_levels(axes, theme, at),
    ]


def _levels(axes: Sequence[Axis], theme: Theme, at: tuple[alt.X, alt.Y]) -> list[alt.Chart]:
    """Write the names of categories beside their axes."""
    rows = [
        {
            "axis": place,
            "height": height,
            "name": parts.label(level),
            "ink": _ink(axis, level, theme),
        }
        for place, axis in enumerate(axes)
        for level, height in axis.levels.items()
    ]
    if not rows:
        return []
    base = alt.Chart(parts.data(rows)).encode(x=at[0], y=at[1], text="name:N")
    colour = alt.Color("ink:N", scale=None)
    return [base.mark_text(align="right", dx=-8, fontWeight=600).encode(color=colour)]


def _ink(axis: Axis, level: str, theme: Theme) -> str:
    return theme.penalty(level) if axis.name == "penalty" else theme.ink
