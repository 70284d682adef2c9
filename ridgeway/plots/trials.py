"""The plot `trials`: the value of each over its λ, a frame for each penalty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.parts import Point
from ridgeway.plots.theme import Theme
from ridgeway.words import number

MOST = 1500  # trials that are drawn
MOST_FRAMES = 12
HEIGHT = 170  # of a frame, in pixels
GAP = 14  # pixels between frames


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a dot for each complete trial that has a λ; None where there is none."""
    found = parts.points(evidence)
    strong = [point for point in found if point.strength is not None and point.strength > 0]
    if not strong:
        return None
    drawn = parts.thinned(strong, MOST)
    penalties = parts.penalties_of(drawn)[:MOST_FRAMES]
    frames = _Frames(evidence, theme, found, drawn, len(penalties))
    own = [[point for point in drawn if point.penalty == name] for name in penalties]
    charts = [frames.draw(place, points) for place, points in enumerate(own)]
    caption = (
        f"{parts.capital(parts.measure(evidence))}, {parts.folds(evidence)}, over λ; a dot a "
        "trial, those far worse at the edge.",
        "Dashed: the best without a penalty." if frames.unpenalised is not None else "",
        "Ringed: what is recommended." if parts.strength_of(parts.chosen_of(evidence)) else "",
        parts.sampled(evidence, len(drawn) + len(found) - len(strong)),
    )
    return alt.concat(*charts, columns=frames.columns, spacing=GAP).properties(
        title=parts.title(theme, finding(evidence, found), *caption)
    )


def finding(evidence: Evidence, found: Sequence[Point]) -> str:
    """Name the best trial's penalty and λ, and its value."""
    best, count = found[0], evidence.trials.there_are
    name = parts.label(best.penalty)
    at = f" at λ = {number(best.strength)}" if best.strength else ""
    told = f"The best of {count:,} trials has {name}{at}"
    return f"{told}, {parts.measure(evidence)} {number(best.value)}"


class _Frames:
    """Frames of one size, with the same axes; `columns` in a row."""

    def __init__(
        self,
        evidence: Evidence,
        theme: Theme,
        found: Sequence[Point],
        drawn: Sequence[Point],
        count: int,
    ) -> None:
        self._evidence, self._theme = evidence, theme
        maximise = evidence.spec.maximise
        reach = parts.reach_of(evidence, found)
        self._limits = parts.cut_at([point.value for point in drawn], maximise, reach)
        rim = 0.03 * (self._limits[1] - self._limits[0])
        self._edge = self._limits[0] + rim if maximise else self._limits[1] - rim
        strengths = [point.strength for point in drawn if point.strength]
        low, high = min(strengths), max(strengths)
        self._ends = (low / 1.3, high * 1.3)
        free = [point.value for point in found if point.strength is None]
        inside = bool(free) and self._limits[0] <= free[0] <= self._limits[1]
        self.unpenalised = free[0] if inside else None
        self.columns = min(count, 2 if theme.narrow else 4, 3 if count in (5, 6) else 4)
        room = theme.width - parts.PADDING - parts.AXIS - GAP * (self.columns - 1)
        self._width = room // self.columns

    def draw(self, place: int, points: Sequence[Point]) -> parts.Layers:
        """Draw one penalty's trials."""
        theme, penalty = self._theme, points[0].penalty
        colour = theme.penalty(penalty)
        base = alt.Chart(parts.data(self._rows(points))).encode(x=self._x(), y=self._y(place))
        inside, beyond = alt.datum.beyond == False, alt.datum.beyond == True  # noqa: E712
        shape = "triangle-down" if self._evidence.spec.maximise else "triangle-up"
        layers: list[Any] = [
            base.mark_point(filled=True, size=22, opacity=0.55, color=colour).transform_filter(
                inside
            ),
            base.mark_point(
                filled=True, size=30, opacity=0.55, color=colour, shape=shape
            ).transform_filter(beyond),
            *self._ring(place, points),
        ]
        if self.unpenalised is not None:
            rule = alt.Chart(parts.rule_at(self.unpenalised, "value"))
            layers.insert(
                0,
                rule.mark_rule(strokeDash=[4, 3], color=theme.penalty("none")).encode(
                    y=self._y(place)
                ),
            )
        name = alt.TitleParams(
            text=parts.label(penalty),
            color=colour,
            fontSize=12,
            offset=6,
            anchor="start",
            frame="group",
        )
        return alt.layer(*layers).properties(width=self._width, height=HEIGHT, title=name)

    def _rows(self, points: Sequence[Point]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for point in points:
            beyond = not self._limits[0] <= point.value <= self._limits[1]
            value = self._edge if beyond else point.value
            rows.append(
                {
                    "trial": point.number,
                    "strength": point.strength,
                    "value": value,
                    "beyond": beyond,
                }
            )
        return rows

    def _ring(self, place: int, points: Sequence[Point]) -> list[alt.Chart]:
        """Ring the recommended trial where it is one of these."""
        chosen = parts.chosen_of(self._evidence)
        mine = [point for point in points if chosen and point.number == chosen.number]
        if not mine:
            return []
        rows = parts.data(self._rows(mine))
        ring = alt.Chart(rows).mark_point(size=130, strokeWidth=2, opacity=1, color=self._theme.ink)
        return [ring.encode(x=self._x(), y=self._y(place))]

    def _x(self) -> alt.X:
        scale = alt.Scale(type="log", domain=list(self._ends), nice=False)
        return alt.X("strength:Q", scale=scale, axis=parts.strength_axis(*self._ends, None))

    def _y(self, place: int) -> alt.Y:
        first = place % self.columns == 0
        axis = alt.Axis(
            title=parts.measure(self._evidence) if first else None,
            labels=first,
            ticks=first,
            tickCount=5,
            minExtent=parts.AXIS - 22 if first else 0,
        )
        scale = alt.Scale(domain=list(self._limits), zero=False, nice=False)
        return alt.Y("value:Q", scale=scale, axis=axis)
