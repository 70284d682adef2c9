"""The plot `sealed`: ROC and calibration of classes, or predictions and what they miss."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles
from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.text import plain
from ridgeway.plots.theme import Theme
from ridgeway.shown import CalibrationBin, ClassCurves, NumberCurves, SealedCurves
from ridgeway.spec.names import UNPENALISED
from ridgeway.words import number

GAP = 26


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw two frames beside each other, on a phone one below the other."""
    found = None if evidence.shown is None else evidence.shown.sealed
    if found is None:
        return None
    room = parts.frame(theme) if theme.narrow else (parts.frame(theme, right=GAP) - parts.AXIS) // 2
    colour = _colour(evidence, found, theme)
    if found.numbers is not None:
        frames = [
            _predicted(found.numbers, colour, theme),
            _residuals(found.numbers, colour, theme),
        ]
        told = finding_of_numbers(found.numbers), _caption_of_numbers(found, _sides(theme))
    else:
        classes = [own for own in found.classes if own.auc is not None]
        if not classes:
            return None
        frames = [_roc(classes, colour, theme), _calibration(found.classes, colour, theme)]
        told = (
            finding_of_classes(found, classes),
            _caption_of_classes(found, classes, _sides(theme)),
        )
    height = min(room, 250)
    sized = [frame.properties(width=room, height=height) for frame in frames]
    chart: Any = alt.hconcat(*sized, spacing=GAP)
    if theme.narrow:
        chart = alt.vconcat(*sized, spacing=GAP)
    return chart.properties(title=parts.title(theme, *told))


# --- classes --------------------------------------------------------------------------------------


def finding_of_classes(found: SealedCurves, classes: Sequence[ClassCurves]) -> str:
    """Say how well rows are ordered, and in how many bins the probability is what it says."""
    worst = _worst(classes)
    text = f"ROC AUC is {_area(worst)} on {found.rows:,} sealed rows"
    if len(classes) > 1:
        text = f"ROC AUC is lowest for {plain(worst.name)}: {_area(worst)}"
    bins = [own for each in found.classes for own in each.calibration if own.interval is not None]
    held = sum(_holds(own) for own in bins)
    return f"{text}; the intervals of {held} of {len(bins)} bins hold what is predicted"


def _caption_of_classes(
    found: SealedCurves, classes: Sequence[ClassCurves], sides: tuple[str, str]
) -> str:
    worst = _worst(classes)
    which = f"class {plain(worst.name)}"
    if len(found.classes) > 1:
        more = f"; {found.left_out} more are left out" if found.left_out else ""
        which = f"each of {len(found.classes)} classes against the rest, {which} bold{more}"
    return (
        f"{sides[0]}: ROC of {which}. {sides[1]}: rows in bins by predicted probability, and the "
        f"share that is of the class, with 95 % intervals. On {found.rows:,} sealed rows."
    )


def _holds(own: CalibrationBin) -> bool:
    return own.interval is not None and own.interval[0] <= own.predicted <= own.interval[1]


def _area(own: ClassCurves) -> str:
    if own.auc_interval is None:
        return number(own.auc)
    return f"{own.auc:.3f} ({own.auc_interval[0]:.3f} to {own.auc_interval[1]:.3f})"


def _worst(classes: Sequence[ClassCurves]) -> ClassCurves:
    return min(classes, key=lambda own: own.auc or 0.0)


def _roc(classes: Sequence[ClassCurves], colour: str, theme: Theme) -> Any:
    worst = _worst(classes)
    rows = [
        {"line": place, "bold": own is worst, "step": step, "x": false, "y": true}
        for place, own in enumerate(classes)
        for step, (false, true) in enumerate(
            zip(own.false_positive_rate, own.true_positive_rate, strict=True)
        )
    ]
    base = alt.Chart(parts.data(rows)).encode(
        x=_share("x", "false positive rate"),
        y=_share("y", "true positive rate"),
        detail="line:N",
        order="step:Q",
    )
    thin, bold = alt.datum.bold == False, alt.datum.bold == True  # noqa: E712
    return alt.layer(
        _diagonal([0.0, 1.0], theme),
        base.transform_filter(thin).mark_line(color=colour, strokeWidth=1.2, opacity=0.45),
        base.transform_filter(bold).mark_line(color=colour, strokeWidth=2.4),
    )


def _calibration(classes: Sequence[ClassCurves], colour: str, theme: Theme) -> Any:
    alone = len(classes) == 1
    rows = [
        {
            "x": own.predicted,
            "y": own.observed,
            "low": own.observed if own.interval is None else own.interval[0],
            "high": own.observed if own.interval is None else own.interval[1],
        }
        for each in classes
        for own in each.calibration
    ]
    base = alt.Chart(parts.data(rows)).encode(x=_share("x", "predicted probability"))
    return alt.layer(
        _diagonal([0.0, 1.0], theme),
        base.mark_rule(color=colour, strokeWidth=2, opacity=0.6 if alone else 0.3).encode(
            y=_share("low", "observed share"), y2="high:Q"
        ),
        base.mark_point(filled=True, size=55 if alone else 28, color=colour, opacity=0.95).encode(
            y="y:Q"
        ),
    )


def _share(field: str, title: str) -> Any:
    kind: Any = alt.X if field == "x" else alt.Y
    axis = alt.Axis(title=title, values=[0, 0.2, 0.4, 0.6, 0.8, 1], format="~g")
    return kind(f"{field}:Q", scale=alt.Scale(domain=[0, 1]), axis=axis)


# --- numbers --------------------------------------------------------------------------------------


def finding_of_numbers(found: NumberCurves) -> str:
    """Say within what the predictions of half of the rows are, and of nine in ten."""
    away = [abs(t - p) for t, p in zip(found.truth, found.predicted, strict=True)]
    if len(away) < 2:
        return f"The one sealed row is predicted within {number(away[0])} of the truth"
    levels = quantiles(away, n=10, method="inclusive")
    return (
        f"Half of the sealed rows are predicted within {number(levels[4])} of the truth, nine in "
        f"ten within {number(levels[8])}"
    )


def _caption_of_numbers(found: SealedCurves, sides: tuple[str, str]) -> str:
    assert found.numbers is not None
    shown, own = len(found.numbers.truth), found.numbers
    sample = (
        f"{shown:,} sealed rows"
        if shown == found.rows
        else (f"A sample of {shown:,} of {found.rows:,} sealed rows")
    )
    what = "truth minus prediction" if own.residual == "difference" else "deviance residuals"
    return (
        f"{sample}. {sides[0]}: the truth over the prediction; on the line they are equal. "
        f"{sides[1]}: {what}; between the dashed lines lie nine in ten."
    )


def _predicted(found: NumberCurves, colour: str, theme: Theme) -> Any:
    rows = [{"x": p, "y": t} for p, t in zip(found.predicted, found.truth, strict=True)]
    low, high = _ends([*found.predicted, *found.truth])
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    ticks = alt.Axis(title="predicted", tickCount=5, format="~s")
    truth = alt.Axis(title="truth", tickCount=5, format="~s")
    dots = alt.Chart(parts.data(rows)).mark_point(filled=True, size=22, color=colour, opacity=0.55)
    return alt.layer(
        dots.encode(
            x=alt.X("x:Q", scale=scale, axis=ticks), y=alt.Y("y:Q", scale=scale, axis=truth)
        ),
        _diagonal([low, high], theme),
    )


def _residuals(found: NumberCurves, colour: str, theme: Theme) -> Any:
    rows = [{"x": p, "y": r} for p, r in zip(found.predicted, found.residuals, strict=True)]
    by_level = dict(zip(found.levels, found.quantiles, strict=True))
    inner = [by_level[level] for level in (0.05, 0.95) if level in by_level]
    (left, right), (low, high) = _ends(found.predicted), _ends([*found.residuals, *inner, 0.0])
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[left, right], nice=False, zero=False),
        axis=alt.Axis(title="predicted", tickCount=5, format="~s"),
    )
    title = "deviance residual" if found.residual == "deviance" else "residual"
    y = alt.Y(
        "y:Q",
        scale=alt.Scale(domain=[low, high], nice=False),
        axis=alt.Axis(title=title, tickCount=5, format="~s"),
    )
    dots = alt.Chart(parts.data(rows)).mark_point(filled=True, size=22, color=colour, opacity=0.55)
    edges = alt.Chart(parts.data({"y": own} for own in inner))
    return alt.layer(
        dots.encode(x=x, y=y),
        alt.Chart(parts.rule_at(0, "y")).mark_rule(color=theme.muted).encode(y="y:Q"),
        edges.mark_rule(color=theme.ink, strokeDash=[5, 4]).encode(y="y:Q"),
    )


# --- both -----------------------------------------------------------------------------------------


def _sides(theme: Theme) -> tuple[str, str]:
    """Return where the two frames are."""
    return ("Above", "Below") if theme.narrow else ("Left", "Right")


def _colour(evidence: Evidence, found: SealedCurves, theme: Theme) -> str:
    """Return the colour of the recommended penalty; the constant has none."""
    chosen = parts.chosen_of(evidence)
    name = UNPENALISED if chosen is None or found.choice == "baseline" else chosen.params["penalty"]
    return theme.penalty(str(name))


def _diagonal(ends: Sequence[float], theme: Theme) -> alt.Chart:
    rows = [{"x": end, "y": end} for end in ends]
    line = alt.Chart(parts.data(rows)).mark_line(color=theme.muted, strokeDash=[4, 4])
    return line.encode(x="x:Q", y="y:Q")


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
