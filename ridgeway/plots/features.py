"""The plot `features`: how much weight each has, and how often parts of the rows select it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ridgeway.features import Feature, Features
from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.text import plain
from ridgeway.plots.theme import Theme
from ridgeway.spec.names import UNPENALISED
from ridgeway.words import number

MOST = 20  # features that are drawn, those with the largest weights
LINE = 22  # pixels of a feature's line
MINUS = "\N{MINUS SIGN}"
GAP = 24  # pixels between the two frames


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw bars of weights, and beside them how often each feature is selected."""
    found = evidence.features
    if found is None or not found.features:
        return None
    shown = sorted(found.features, key=lambda feature: feature.rank)[:MOST]
    names = 108 if theme.narrow else 190
    room = parts.frame(theme, names, GAP + 20)
    rows = parts.data(_rows(shown, _penalty(evidence, found), theme, 15 if theme.narrow else 28))
    selection = _selection(rows, found, theme)
    if selection is None:
        chart: Any = _weights(rows, theme, names).properties(width=room, height=LINE * len(shown))
    else:
        widths = (round(0.58 * room), round(0.42 * room))
        chart = alt.hconcat(
            _weights(rows, theme, names).properties(width=widths[0], height=LINE * len(shown)),
            selection.properties(width=widths[1], height=LINE * len(shown)),
            spacing=GAP,
        )
    return chart.properties(title=parts.title(theme, finding(found), *_caption(found, len(shown))))


def finding(found: Features) -> str:
    """Say how many features are used, and which are stable."""
    used = sum(feature.used for feature in found.features)
    model = "the best trial's model" if found.choice == "baseline" else "the model"
    text = f"{parts.capital(model)} uses {used} of {len(found.features)} features"
    if found.stability is None:
        return text
    stable = found.stability.stable
    if not stable:
        return f"{text}; none of them is stable"
    if len(stable) == 1:
        return f"{text}; {plain(stable[0])} is stable"
    return f"{text}; {len(stable)} are stable"


def _caption(found: Features, shown: int) -> list[str]:
    left = "Left: norm of its weights on standardised inputs"
    signed = any(feature.sign is not None for feature in found.features)
    told = [f"{left}, + or {MINUS} its coefficient's sign." if signed else f"{left}."]
    if found.stability is not None:
        own = found.stability
        told.append(
            f"Right: share of {2 * own.pairs} halves of the rows that select it; from "  # nosec B608 # English
            f"{own.threshold:.0%} on it is stable, and at most {number(own.false_selections)} "
            "such features are expected to tell nothing."
        )
    elif any(feature.folds is not None for feature in found.features):
        told.append("Right: share of the folds whose model uses it.")
    if shown < len(found.features):
        told.append(f"The {shown} largest of {len(found.features)} are drawn.")
    if found.settled is False:
        told.append("The net's zeros had not come to rest: what is used says little.")
    return told


def _penalty(evidence: Evidence, found: Features) -> str:
    """Return the penalty of the model whose features these are."""
    trials = evidence.trials
    if found.trial in trials.number:
        return trials.penalty[trials.number.index(found.trial)] or UNPENALISED
    return UNPENALISED


def _rows(
    shown: Sequence[Feature], penalty: str, theme: Theme, longest: int
) -> list[dict[str, Any]]:
    signs = {1: " +", -1: f" {MINUS}"}
    return [
        {
            "place": place,
            "name": plain(feature.name, longest),
            "norm": feature.norm,
            "sign": signs.get(feature.sign or 0, ""),
            "share": feature.folds if feature.frequency is None else feature.frequency,
            "colour": theme.penalty(penalty) if feature.used else theme.muted,
            "ink": theme.ink if feature.used else theme.muted,
        }
        for place, feature in enumerate(shown)
    ]


def _y() -> alt.Y:
    return alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.3, paddingOuter=0.2))


def _weights(rows: alt.InlineData, theme: Theme, names: int) -> parts.Layers:
    axis = alt.Axis(title="weight (norm)", tickCount=4)
    base = alt.Chart(rows).encode(y=_y())
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        x=alt.X("norm:Q", axis=axis), color=alt.Color("colour:N", scale=None)
    )
    text = base.mark_text(align="left", dx=-names, fontSize=12).encode(
        x=alt.value(0), text="name:N", color=alt.Color("ink:N", scale=None)
    )
    signs = base.mark_text(align="left", dx=1, color=theme.ink, fontSize=12).encode(
        x="norm:Q", text="sign:N"
    )
    return alt.layer(bars, text, signs)


def _selection(rows: alt.InlineData, found: Features, theme: Theme) -> parts.Layers | None:
    """Draw the shares of halves, or else of folds; None where neither is known."""
    halves = found.stability is not None
    if all((feature.frequency if halves else feature.folds) is None for feature in found.features):
        return None
    name = "selected by halves" if halves else "used in folds"
    axis = alt.Axis(title=name, format=".0%", values=[0, 0.5, 1])
    x = alt.X("share:Q", axis=axis, scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(rows).transform_filter("isValid(datum.share)").encode(y=_y(), x=x)
    colour = alt.Color("colour:N", scale=None)
    layers = [
        base.mark_rule(strokeWidth=2, opacity=0.5).encode(x2=alt.datum(0), color=colour),
        base.mark_point(filled=True, size=55, opacity=1).encode(color=colour),
    ]
    if found.stability is not None:
        threshold = alt.Chart(parts.rule_at(found.stability.threshold))
        layers.append(threshold.mark_rule(strokeDash=[4, 3], color=theme.ink).encode(x="at:Q"))
    return alt.layer(*layers)
