"""The plot `learning`: the objective over epochs, on rows trained on and on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.theme import Theme
from ridgeway.shown import Learning, LearningCurve
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import UNPENALISED
from ridgeway.words import number

HEIGHT = 180  # of a frame, in pixels
GAP = 18


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a frame for each trial of the answer: validation solid, training dashed."""
    found = None if evidence.shown is None else evidence.shown.learning
    if found is None or not any(_last(curve) for curve in found.curves):
        return None
    shown = sorted(found.curves, key=lambda curve: curve.penalty == UNPENALISED)
    count = 1 if theme.narrow else len(shown)
    room = parts.frame(theme, right=(count - 1) * GAP)
    domain = _domain(found, evidence.spec.maximise)
    frames = [
        _frame(evidence, curve, domain, theme, place % count == 0).properties(
            width=room // count, height=HEIGHT if count > 1 else HEIGHT - 40
        )
        for place, curve in enumerate(shown)
    ]
    chart: Any = alt.vconcat(*frames, spacing=GAP)
    if count > 1:
        chart = alt.hconcat(*frames, spacing=GAP)
    caption = (
        f"{parts.capital(parts.measure(evidence))} without the penalty, after each epoch: solid on "
        f"{found.validation_rows:,} rows that were not trained on, dashed on "
        f"{found.training_rows:,} that were; on one of the job's splits."
    )
    return chart.properties(title=parts.title(theme, finding(evidence, found), caption))


def finding(evidence: Evidence, found: Learning) -> str:
    """Say how far validation is from training at the end, of the recommended and of no penalty."""
    gaps = {curve.trial: _gap(curve, evidence.spec.maximise) for curve in found.curves}
    own = next((curve for curve in _in_order(found) if gaps[curve.trial] is not None), None)
    if own is None:
        return "Training diverged"
    measure, gap = parts.measure(evidence), gaps[own.trial] or 0.0
    text = f"{_with(own)} the {measure} ends {_by(gap)} on rows that were not trained on"
    bare = next((each for each in found.curves if each.penalty == UNPENALISED), None)
    other = None if bare is None or bare is own else gaps[bare.trial]
    return text if other is None else f"{text}; without a penalty, {_by(other)}"


def _in_order(found: Learning) -> Sequence[LearningCurve]:
    return sorted(found.curves, key=lambda curve: "simplest" not in curve.roles)


def _by(gap: float) -> str:
    """Say by how much rows that were not trained on do worse."""
    return f"{number(abs(gap))} {'worse' if gap >= 0 else 'better'}"


def _with(curve: LearningCurve) -> str:
    return "Without a penalty" if curve.penalty == UNPENALISED else f"With {_name(curve)}"


def _name(curve: LearningCurve) -> str:
    name = parts.capital(parts.label(curve.penalty))
    return name if curve.strength is None else f"{name} at λ = {number(curve.strength)}"


def _last(curve: LearningCurve) -> tuple[float, float] | None:
    """Return the last points of training and validation; None where it diverged."""
    ends = curve.training[-1:], curve.validation[-1:]
    (training,), (validation,) = ends if all(ends) else ([None], [None])
    return None if training is None or validation is None else (training, validation)


def _gap(curve: LearningCurve, maximise: bool) -> float | None:
    last = _last(curve)
    return None if last is None else as_loss(last[1] - last[0], maximise)


def _domain(found: Learning, maximise: bool) -> tuple[float, float]:
    """Return the values in all frames: the first epochs may lie far out."""
    lines = [line for curve in found.curves for line in (curve.training, curve.validation)]
    values = [value for line in lines for value in line if value is not None]
    return parts.cut_at(values, maximise, 0.0)


def _frame(
    evidence: Evidence,
    curve: LearningCurve,
    domain: tuple[float, float],
    theme: Theme,
    first: bool,
) -> Any:
    scale = alt.Scale(domain=list(domain), zero=False, nice=False)
    axis = alt.Axis(title=parts.measure(evidence) if first else None, labels=first, tickCount=5)
    ends = alt.Scale(domain=[1, max(2, curve.epochs[-1])], nice=False)
    x = alt.X("epoch:Q", scale=ends, axis=alt.Axis(title="epoch", grid=False, tickCount=4))
    base: Any = alt.Chart(parts.data(_rows(curve))).encode(
        x=x, y=alt.Y("value:Q", scale=scale, axis=axis)
    )
    colour = theme.penalty(curve.penalty)
    lines: list[alt.Chart] = []
    for name, dash in (("validation", [1, 0]), ("training", [5, 3])):
        own = base.transform_filter(alt.datum.line == name)
        lines.append(own.mark_line(strokeWidth=2, color=colour, strokeDash=dash, clip=True))
    title = _name(curve)
    if theme.narrow or len(title) < 26:
        title = f"{title}{_roles(curve)}"
    if curve.refit_epochs < curve.epochs[-1]:
        lines.append(_stop(curve, x, theme))
    heading = alt.TitleParams(title, fontSize=12, color=theme.ink, offset=6, frame="group")
    return alt.layer(*lines, *_names(curve, base, domain, theme)).properties(title=heading)


def _roles(curve: LearningCurve) -> str:
    told = [role for role in curve.roles if role != "none"]
    return f" ({', '.join(told)})" if told else ""


def _rows(curve: LearningCurve) -> list[dict[str, Any]]:
    lines = {"training": curve.training, "validation": curve.validation}
    return [
        {"line": name, "epoch": epoch, "value": value}
        for name, line in lines.items()
        for epoch, value in zip(curve.epochs, line, strict=True)
        if value is not None
    ]


def _stop(curve: LearningCurve, x: alt.X, theme: Theme) -> alt.Chart:
    """Mark the epoch that the answer's model trains to."""
    return (
        alt.Chart(parts.data([{"epoch": curve.refit_epochs}]))
        .mark_rule(strokeDash=[2, 3], color=theme.ink)
        .encode(x=x)
    )


def _names(
    curve: LearningCurve, base: Any, domain: tuple[float, float], theme: Theme
) -> list[alt.Chart]:
    """Write at the lines' ends which is which, away from each other and inside the frame."""
    last = _last(curve)
    if last is None:
        return []
    above, foot = last[1] >= last[0], domain[0] + 0.12 * (domain[1] - domain[0])
    charts: list[alt.Chart] = []
    for name, value, up in (("validation", last[1], above), ("training", last[0], not above)):
        inside = min(max(value, domain[0]), domain[1])
        row = {"epoch": curve.epochs[-1], "value": inside, "name": name}
        place = alt.Chart(parts.data([row])).encode(
            x=base.encoding.x, y=base.encoding.y, text="name:N"
        )
        drop = -9 if up or inside < foot else 10
        charts += parts.haloed(place, theme, align="right", dy=drop, fontSize=11)
    return charts
