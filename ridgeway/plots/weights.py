"""The plot `weights`: histograms under each penalty, the exact zeros as a bar of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.theme import Theme
from ridgeway.shown import WeightHistogram, Weights
from ridgeway.spec.names import UNPENALISED
from ridgeway.words import number

ROW, BAR = 74, 16  # pixels of a penalty's row, and of its bar of zeros
TOP = 22  # pixels of a row above its highest bin
GAP = 30


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a row for each penalty: its share of zeros, and beside it the other weights."""
    found = None if evidence.shown is None else evidence.shown.weights
    if found is None or not found.histograms:
        return None
    zeros = 112 if theme.narrow else 190
    room = parts.frame(theme, zeros, GAP + 12)
    height = ROW * len(found.histograms)
    chart = alt.hconcat(
        _zeros(found.histograms, theme, zeros).properties(width=zeros, height=height),
        _others(found, theme, room).properties(width=room, height=height),
        spacing=GAP,
    )
    where = (
        "All are trained on the same rows from the same initial weights."
        if found.confirmed
        else "Each is the answer's refit."
    )
    caption = (
        "Best trial of each penalty, inputs standardised. Left: the share of weights that are "
        "exactly 0, and which penalty. Right: all other weights, in bins of equal width and on one "
        f"scale; what lies beyond is in the outer ones. {where}"
    )
    return chart.properties(title=parts.title(theme, finding(found), caption))


def finding(found: Weights) -> str:
    """Say which penalty sets the most weights to zero, and which ones set none."""
    most = max(found.histograms, key=lambda own: own.zeros / max(1, own.weights))
    if not most.zeros:
        return "No penalty sets a weight to exactly zero"
    name = parts.capital(parts.label(most.penalty))
    text = f"{name} sets {most.zeros:,} of {most.weights:,} weights to exactly zero"
    held = [own for own in found.histograms if own.penalty != UNPENALISED]
    bare = [parts.label(own.penalty) for own in held if not own.zeros]
    if not bare:
        return text
    if len(bare) == 1:
        return f"{text}; {bare[0]} sets none"
    return f"{text}; {', '.join(bare[:-1])} and {bare[-1]} set none"


def _zeros(histograms: Sequence[WeightHistogram], theme: Theme, width: int) -> Any:
    rows: list[dict[str, Any]] = []
    for place, own in enumerate(histograms):
        share = own.zeros / max(1, own.weights)
        beside = own.strength is not None and not theme.narrow
        strength = f"λ = {number(own.strength)}" if beside else ""
        rows.append(
            {
                "name": parts.label(own.penalty),
                "strength": strength,
                "told": f"{share:.0%} exactly 0" if 0 < share < 0.995 else _edge(own),
                "from": 0.0,
                "to": width * share,
                "top": ROW * (place + 1) - BAR,
                "bottom": float(ROW * (place + 1)),
                "text": float(ROW * place + 30),
                "colour": theme.penalty(own.penalty),
                "end": width,
            }
        )
    base = alt.Chart(parts.data(rows)).encode(color=alt.Color("colour:N", scale=None))
    x, y = _pixel(alt.X, "from"), _pixel(alt.Y, "top")
    bar = base.encode(x=x, y=y, y2="bottom:Q")
    name, told = _pixel(alt.Y, "text"), _pixel(alt.Y, "top")
    words = base.encode(x=x)
    return alt.layer(
        bar.mark_rect(opacity=0.16).encode(x2="end:Q"),
        bar.mark_rect().encode(x2="to:Q"),
        words.mark_text(align="left", fontWeight=600, fontSize=12).encode(y=name, text="name:N"),
        words.mark_text(align="left", baseline="bottom", dy=-2, fontSize=11).encode(
            y=told, text="told:N", color=alt.value(theme.ink)
        ),
        base.mark_text(align="right", fontSize=11).encode(
            x=_pixel(alt.X, "end"), y=name, text="strength:N", color=alt.value(theme.muted)
        ),
    )


def _edge(own: WeightHistogram) -> str:
    if own.zeros == 0:
        return "none is exactly 0"
    if own.zeros == own.weights:
        return "all are exactly 0"
    return f"all but {own.weights - own.zeros:,} are exactly 0"


def _others(found: Weights, theme: Theme, width: int) -> Any:
    shares = [[count / max(1, own.weights) for count in own.counts] for own in found.histograms]
    most = max((share for line in shares for share in line), default=0.0) or 1.0
    rows: list[dict[str, Any]] = []
    for place, (own, line) in enumerate(zip(found.histograms, shares, strict=True)):
        base = float(ROW * (place + 1))
        rows += [
            {
                "from": low,
                "to": high,
                "top": base - (ROW - TOP) * share / most,
                "bottom": base,
                "colour": theme.penalty(own.penalty),
            }
            for low, high, share in zip(found.edges, found.edges[1:], line, strict=False)
            if share
        ]
    ends = [found.edges[0], found.edges[-1]]
    axis = alt.Axis(title="weight", grid=False, tickCount=5, format="~g")
    x = alt.X("from:Q", scale=alt.Scale(domain=ends, nice=False), axis=axis)
    floors = [
        {"from": ends[0], "to": ends[1], "top": float(ROW * (place + 1))}
        for place in range(len(found.histograms))
    ]
    return alt.layer(
        alt.Chart(parts.rule_at(0, "from")).mark_rule(color=theme.grid).encode(x=x),
        alt.Chart(parts.data(rows))
        .mark_rect(stroke=theme.ground, strokeWidth=0.5)
        .encode(
            x=x,
            x2="to:Q",
            y=_pixel(alt.Y, "top"),
            y2="bottom:Q",
            color=alt.Color("colour:N", scale=None),
        ),
        alt.Chart(parts.data(floors))
        .mark_rule(color=theme.muted, opacity=0.6)
        .encode(x=x, x2="to:Q", y=_pixel(alt.Y, "top")),
    )


def _pixel(kind: Any, field: str) -> Any:
    """Return a place in pixels."""
    return kind(f"{field}:Q", scale=None, axis=None)
