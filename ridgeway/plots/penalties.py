"""The plot `penalties`: the best trial of each, and how far it is behind the best of all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import median
from typing import Any

import altair as alt

from ridgeway.answers import PenaltyRow
from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.theme import Theme
from ridgeway.words import number

ERRORS = 2.0  # standard errors that an interval reaches to either side
LINE = 34  # pixels of a penalty's line
VALUES = 56  # pixels of the values behind the frame
FAR = 8.0  # what reaches further than so many times the median is beyond the frame


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a line for each penalty that has a trial, the best on top; of two or more."""
    rows = _rows(evidence)
    if len(rows) < 2:
        return None
    low, high = _limits(rows)
    names = parts.names_width(row.penalty for row in rows)
    told = [_told(row, place, (low, high), theme) for place, row in enumerate(rows)]
    caption = (
        f"Best trial of each, {parts.folds(evidence)}: its mean difference to the best of all, "
        f"fold by fold, ± {ERRORS:g} standard errors. Right: its {parts.measure(evidence)}."
    )
    layers = _layers(evidence, theme, parts.data(told), (low, high), names)
    return alt.layer(*layers).properties(
        width=parts.frame(theme, names, VALUES),
        height=LINE * len(rows),
        title=parts.title(theme, finding(rows), caption),
    )


def _layers(
    evidence: Evidence,
    theme: Theme,
    told: alt.InlineData,
    limits: tuple[float, float],
    names: int,
) -> list[alt.Chart]:
    base = alt.Chart(told).encode(
        y=alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.4, paddingOuter=0.3)),
        color=alt.Color("colour:N", scale=None),
    )
    worse = "below" if evidence.spec.maximise else "above"
    axis = alt.Axis(
        title=f"{parts.measure(evidence)} {worse} the best trial's",
        grid=True,
        tickCount=4 if theme.narrow else 6,
    )
    x = alt.X("behind:Q", axis=axis, scale=alt.Scale(domain=list(limits), nice=False))
    inside, beyond = alt.datum.beyond == False, alt.datum.beyond == True  # noqa: E712
    point: Any = partial(base.mark_point, filled=True, size=90, opacity=1)
    return [
        alt.Chart(parts.rule_at(0)).mark_rule(color=theme.muted).encode(x="at:Q"),
        base.mark_rule(strokeWidth=3, opacity=0.55, clip=True).encode(x="low:Q", x2="high:Q"),
        point().encode(x=x).transform_filter(inside),
        point(shape="triangle-right").encode(x=alt.value("width")).transform_filter(beyond),
        base.mark_text(align="left", dx=-names, fontSize=12, fontWeight=600).encode(
            x=alt.value(0), text="name:N"
        ),
        base.mark_text(align="left", dx=10).encode(
            x=alt.value("width"), text="shown:N", color=alt.value(theme.ink)
        ),
    ]


def finding(rows: Sequence[PenaltyRow]) -> str:
    """Say which penalty is best, and which can't be told from it."""
    name, others = parts.capital(parts.label(rows[0].penalty)), rows[1:]
    alike = [parts.label(row.penalty) for row in others if not _apart(row)]
    if not alike:
        return f"{name} is best, and every other penalty is clearly behind"
    if len(alike) == len(others):
        return f"{name} is best, but no other penalty is clearly behind"
    if len(alike) == 1:
        return f"{name} is best, but {alike[0]} can't be told from it"
    return f"{name} is best, but {len(alike)} of {len(others)} others can't be told from it"


def _rows(evidence: Evidence) -> list[PenaltyRow]:
    rows = evidence.answer.penalties if evidence.answer else []
    kept = [row for row in rows if row.value is not None and row.behind is not None]
    return sorted(kept, key=lambda row: row.behind or 0.0)


def _apart(row: PenaltyRow) -> bool:
    """Return True where the interval of the difference leaves out 0."""
    return (row.behind or 0.0) > ERRORS * (row.behind_error or 0.0)


def _limits(rows: Sequence[PenaltyRow]) -> tuple[float, float]:
    """Return the differences in the frame: one that is far out would hide the others."""
    intervals = [_interval(row) for row in rows[1:]]
    middle = median(high for _, high in intervals)
    inside = [each for each in intervals if each[1] <= FAR * middle]
    high = max(end for _, end in inside) or 1.0
    low = max(min(end for end, _ in inside), -high)
    return min(1.1 * low, -0.05 * high), 1.06 * high


def _interval(row: PenaltyRow) -> tuple[float, float]:
    behind, reach = row.behind or 0.0, ERRORS * (row.behind_error or 0.0)
    return behind - reach, behind + reach


def _told(
    row: PenaltyRow, place: int, limits: tuple[float, float], theme: Theme
) -> dict[str, object]:
    behind, (low, high) = row.behind or 0.0, _interval(row)
    return {
        "place": place,
        "name": parts.label(row.penalty),
        "behind": behind,
        "low": max(low, limits[0]),
        "high": min(high, limits[1]),
        "beyond": behind > limits[1],
        "shown": number(row.value),
        "colour": theme.penalty(row.penalty),
    }
