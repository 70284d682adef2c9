"""The plot `front`: what a value costs in features, or else in nonzero weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.parts import Point
from ridgeway.plots.theme import Theme

MOST = 1200  # trials that are drawn
HEIGHT = 260


@dataclass(frozen=True)
class Costs:
    """What each trial costs, by its place in the columns, and what that is called."""

    of: tuple[float | None, ...]
    name: str
    axis: alt.Axis


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw each trial, and the front of those that no other beats; None where costs don't vary."""
    costs = _costs(evidence)
    found = [point for point in parts.points(evidence) if costs.of[point.place] is not None]
    if len({costs.of[point.place] for point in found}) < 2:
        return None
    sign = -1 if evidence.spec.maximise else 1
    front = front_of(found, costs.of, sign)
    reach = parts.reach_of(evidence, found)
    low, high = parts.cut_at([p.value for p in found], evidence.spec.maximise, reach)
    inside = [point for point in found if low <= point.value <= high]
    drawn = parts.thinned(inside, MOST)
    names = parts.names_width(parts.penalties_of(drawn))
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[low, high], zero=False, nice=False),
        axis=alt.Axis(title=parts.measure(evidence), tickCount=6, minExtent=parts.AXIS - 22),
    )
    x = alt.X("cost:Q", axis=costs.axis, scale=alt.Scale(nice=False, zero=False, padding=8))
    dots = _dots(drawn, costs, theme).encode(x=x, y=y)
    line = alt.Chart(_line([p for p in front if low <= p.value <= high], costs))
    curve = line.mark_line(
        interpolate="step-after", color=theme.ink, strokeWidth=1.4, opacity=0.8
    ).encode(x=x, y=y)
    key = parts.key(parts.penalties_of(drawn), theme)
    chart = alt.layer(dots, curve, *_chosen(evidence, costs, theme, (x, y)), key)
    beyond = len(found) - len(inside)
    caption = (
        f"{parts.capital(parts.measure(evidence))}, {parts.folds(evidence)}, a dot a trial; the "
        f"line joins those that no other beats in both.",
        f"{beyond:,} far worse trials lie outside." if beyond else "",
        parts.sampled(evidence, len(drawn) + beyond),
    )
    return chart.properties(
        width=parts.frame(theme, right=names),
        height=HEIGHT,
        title=parts.title(theme, finding(evidence, front, costs), *caption),
    )


def front_of(found: Sequence[Point], costs: Sequence[float | None], sign: int) -> list[Point]:
    """Return the trials that no other beats in value and cost, the cheapest first."""
    front: list[Point] = []
    order = sorted(found, key=lambda p: (costs[p.place] or 0.0, sign * p.value, p.number))
    for point in order:
        if not front or sign * point.value < sign * front[-1].value:
            front.append(point)
    return front


def finding(evidence: Evidence, front: Sequence[Point], costs: Costs) -> str:
    """Say what the best value costs, and what the recommended trial does."""
    best = front[-1]
    told = f"The best value takes {_amount(costs, best.place)}"
    chosen = parts.chosen_of(evidence)
    if chosen is None or chosen.number == best.number:
        return told
    if chosen.number not in evidence.trials.number:
        return told
    place = evidence.trials.number.index(chosen.number)
    if costs.of[place] is None:
        return told
    name, cost = parts.label(str(chosen.params.get("penalty"))), _amount(costs, place)
    return f"{told}; the recommended {name} takes {cost.removesuffix(' features')}"


def _amount(costs: Costs, place: int) -> str:
    cost = costs.of[place] or 0.0
    return f"{cost:.3g} {costs.name}" if costs.name == "features" else f"{cost:.0%} of the weights"


def _costs(evidence: Evidence) -> Costs:
    """Return the number of features where trials tell it, else the share of nonzero weights."""
    trials = evidence.trials
    if len({own for own in trials.features if own is not None}) > 1:
        return Costs(trials.features, "features", alt.Axis(title="features used, mean over folds"))
    axis = alt.Axis(title="share of nonzero weights", format=".0%")
    return Costs(trials.nonzero_share, "weights", axis)


def _dots(drawn: Sequence[Point], costs: Costs, theme: Theme) -> alt.Chart:
    rows = [
        {
            "cost": costs.of[point.place],
            "value": point.value,
            "colour": theme.penalty(point.penalty),
        }
        for point in drawn
    ]
    return (
        alt.Chart(parts.data(rows))
        .mark_point(filled=True, size=26, opacity=0.5)
        .encode(color=alt.Color("colour:N", scale=None))
    )


def _line(front: Sequence[Point], costs: Costs) -> alt.InlineData:
    return parts.data({"cost": costs.of[point.place], "value": point.value} for point in front)


def _chosen(
    evidence: Evidence, costs: Costs, theme: Theme, axes: tuple[alt.X, alt.Y]
) -> list[alt.Chart]:
    """Ring the recommended trial, and name it."""
    chosen = parts.chosen_of(evidence)
    if chosen is None or chosen.number not in evidence.trials.number:
        return []
    place = evidence.trials.number.index(chosen.number)
    if costs.of[place] is None:
        return []
    row = {"cost": costs.of[place], "value": chosen.value, "name": "recommended"}
    base = alt.Chart(parts.data([row])).encode(x=axes[0], y=axes[1])
    ring = base.mark_point(size=150, strokeWidth=2, color=theme.ink, opacity=1)
    known = [cost for cost in costs.of if cost is not None]
    right = 2 * (costs.of[place] or 0.0) > min(known) + max(known)
    side: dict[str, Any] = {"align": "right", "dx": -8} if right else {"align": "left", "dx": 8}
    return [ring, *parts.haloed(base.encode(text="name:N"), theme, dy=-15, fontWeight=600, **side)]
