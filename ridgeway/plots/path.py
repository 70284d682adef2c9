"""The plot `path`, as glmnet draws it: the value over λ, and below it each coefficient or norm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from ridgeway.paths import PathPoint, RegularisationPath
from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.text import plain
from ridgeway.plots.theme import Theme
from ridgeway.words import number

UPPER, LOWER = 190, 210  # heights of the two frames, in pixels
MOST_LINES = 40  # columns that are drawn, those with the largest coefficients
MOST_NAMES, NAME_GAP = 12, 14  # names beside the lines, and the pixels between two
STRONG_TO_WEAK = "λ, from strong to weak"
COUNTS = 9  # strengths above which the number of features is written


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw the curve with its bands, and the coefficients; None without two strengths to draw."""
    path = evidence.path
    if path is None:
        return None
    drawn = sorted((p for p in path.points if p.strength > 0), key=lambda p: -p.strength)
    if sum(point.value is not None for point in drawn) < 2:
        return None
    ends = (drawn[-1].strength, drawn[0].strength)
    lines = _lines(path, drawn)
    names = (84 if theme.narrow else 132) if lines else 12
    width = parts.frame(theme, right=names)
    upper = _curve(evidence, path, drawn, theme).properties(width=width, height=UPPER)
    caption = _caption(path, evidence)
    titled = parts.title(theme, finding(evidence, path), caption)
    if not lines:
        return upper.properties(title=titled)
    lower = alt.layer(
        *_coefficients(lines, path, theme, ends),
        *_rules(_marks(evidence, path), ends, theme, named=False),
    ).properties(width=width, height=LOWER)
    return alt.vconcat(upper, lower, spacing=14).properties(title=titled)


def finding(evidence: Evidence, path: RegularisationPath) -> str:
    """Say which strength is recommended, or has the best value, and how many features are left."""
    chosen = parts.chosen_of(evidence)
    if chosen is not None and chosen.number == path.trial:
        strength, used = parts.strength_of(chosen), chosen.selected_features
    else:
        strength, used = path.best_strength, None
        near = [point for point in path.points if point.strength == strength]
        if near:
            used = near[0].refit_features
    name = parts.capital(parts.label(path.penalty))
    if strength is None:
        return f"{name} has no best strength: training diverged at each"
    of = len(evidence.features.features) if evidence.features else len(path.columns)
    if used is None or used > of or not of:
        return f"{name} is best near λ = {number(strength)}"
    return f"{name} at λ = {number(strength)} keeps {used} of {of} features"


def _caption(path: RegularisationPath, evidence: Evidence) -> str:
    told = f"{parts.capital(parts.measure(evidence))}, {parts.folds(evidence)}, ± 1 standard error"
    told += "; above, the number of features that are used. Below: "
    if path.columns and any(point.norms for point in path.points):
        told += "the norm of each feature's weights"
    elif len(path.outputs) > 1:
        told += "the norm of each column's coefficients over the classes"
    elif path.columns:
        told += "each coefficient"
    else:
        return told.removesuffix(" Below: ")
    standardised = path.scales or any(point.norms for point in path.points)
    told += " on standardised inputs" if standardised else ""
    more = path.left_out + max(0, len(path.columns) - MOST_LINES)
    return f"{told}{f'; {more:,} small ones are left out' if more else ''}."


def _x(ends: tuple[float, float], title: str | None = None) -> alt.X:
    # From strong to weak: features come in from left to right, as in glmnet.
    scale = alt.Scale(type="log", domain=[ends[1], ends[0]], nice=False)
    return alt.X("strength:Q", scale=scale, axis=parts.strength_axis(*ends, title))


def _curve(
    evidence: Evidence, path: RegularisationPath, drawn: Sequence[PathPoint], theme: Theme
) -> parts.Layers:
    known = [point for point in drawn if point.value is not None]
    low, high = _range(known, evidence.spec.maximise)
    ends = (drawn[-1].strength, drawn[0].strength)
    rows = [
        {
            "strength": point.strength,
            "value": point.value,
            "low": (point.value or 0.0) - (point.standard_error or 0.0),
            "high": (point.value or 0.0) + (point.standard_error or 0.0),
        }
        for point in known
    ]
    scale = alt.Scale(domain=[low, high], zero=False, nice=False)
    axis = alt.Axis(title=parts.measure(evidence), tickCount=5, minExtent=parts.AXIS - 22)
    colour = theme.penalty(path.penalty)
    base = alt.Chart(parts.data(rows)).encode(x=_x(ends))
    layers = [
        base.mark_area(opacity=0.22, color=colour, clip=True).encode(
            y=alt.Y("low:Q", scale=scale, axis=axis), y2="high:Q"
        ),
        base.mark_line(strokeWidth=2, color=colour, clip=True).encode(y="value:Q"),
        _counts(drawn, ends, theme),
        *_rules(_marks(evidence, path), ends, theme, named=True),
    ]
    return alt.layer(*layers)


def _range(known: Sequence[PathPoint], maximise: bool) -> tuple[float, float]:
    """Return the values in the frame: all but those far worse than the strongest penalty's."""
    values = [point.value for point in known if point.value is not None]
    errors = [point.standard_error or 0.0 for point in known]
    sign = -1 if maximise else 1
    losses = [sign * value for value in values]
    best = min(losses)
    limit = min(max(losses), max(losses[0], best) + 0.5 * abs(losses[0] - best) or math.inf)
    reach = max(e for e, loss in zip(errors, losses, strict=True) if loss <= limit)
    low, high = best - reach, limit + reach
    room = 0.04 * (high - low) or abs(best) or 1.0
    return (low - room, high + room) if sign > 0 else (-high - room, -low + room)


def _counts(drawn: Sequence[PathPoint], ends: tuple[float, float], theme: Theme) -> alt.Chart:
    """Write above the frame how many features are used at some of the strengths."""
    told = [point for point in drawn if point.features is not None]
    step = max(1, math.ceil(len(told) / (COUNTS if not theme.narrow else 5)))
    rows = [
        {"strength": point.strength, "count": f"{point.features:.0f}"} for point in told[::step]
    ]
    return (
        alt.Chart(parts.data(rows))
        .mark_text(dy=-8, baseline="bottom", color=theme.muted, fontSize=11)
        .encode(x=_x(ends), y=alt.value(0), text="count:N")
    )


def _marks(evidence: Evidence, path: RegularisationPath) -> dict[str, float]:
    """Return λ_min and what is recommended, or else λ_1se, by name; of equal ones both names."""
    chosen = parts.chosen_of(evidence)
    own = parts.strength_of(chosen) if chosen and chosen.number == path.trial else None
    least = path.best_strength
    if own is not None and own == least:
        return {"λ_min, recommended": own}
    other = ("recommended", own) if own else ("λ_1se", path.one_standard_error_strength)
    return {name: at for name, at in (("λ_min", least), other) if at}


def _rules(
    marks: Mapping[str, float], ends: tuple[float, float], theme: Theme, named: bool
) -> list[alt.Chart]:
    """Draw a dashed line at each mark; its name stands on the side away from the other's."""
    inside = {name: at for name, at in marks.items() if ends[0] <= at <= ends[1]}
    charts: list[alt.Chart] = []
    for line, (name, at) in enumerate(sorted(inside.items(), key=lambda item: -item[1])):
        share = math.log(ends[1] / at) / math.log(ends[1] / ends[0])  # of the way to the right
        first = line == 0 and len(inside) == 2
        left = share > 0.8 or (first and share > (0.5 if theme.narrow else 0.25))
        base = alt.Chart(parts.data([{"strength": at, "name": name}])).encode(
            x=_x(ends, None if named else STRONG_TO_WEAK)
        )
        charts.append(base.mark_rule(strokeDash=[5, 4], color=theme.ink))
        text = base.mark_text(
            align="right" if left else "left",
            dx=-5 if left else 5,
            baseline="top",
            color=theme.ink,
            fontWeight=600,
        )
        if named:
            charts.append(text.encode(y=alt.value(4 + 15 * line), text="name:N"))
    return charts


# --- coefficients -----------------------------------------------------------------------------


def _lines(
    path: RegularisationPath, drawn: Sequence[PathPoint]
) -> dict[str, list[tuple[float, float]]]:
    """Return (strength, size) of the largest columns, by name, the largest first."""
    sizes = [_sizes(path, point) for point in drawn]
    found = {
        name: [(p.strength, own.get(name, 0.0)) for p, own in zip(drawn, sizes, strict=True)]
        for name in path.columns
    }
    most = {name: max(abs(size) for _, size in line) for name, line in found.items()}
    # Near the weak end of a path that nothing holds, coefficients of any size say little.
    kept = sorted((name for name in found if most[name] > 0), key=lambda name: -most[name])
    return {name: found[name] for name in kept[:MOST_LINES]}


def _sizes(path: RegularisationPath, point: PathPoint) -> Mapping[str, float]:
    """Return what is drawn of each column at a strength: a coefficient, or a norm."""
    if point.norms is not None:
        return point.norms
    return {
        name: (own[0] if len(own) == 1 else math.hypot(*own)) * path.scales.get(name, 1.0)
        for name, own in (point.coefficients or {}).items()
    }


def _coefficients(
    lines: Mapping[str, list[tuple[float, float]]],
    path: RegularisationPath,
    theme: Theme,
    ends: tuple[float, float],
) -> list[alt.Chart]:
    rows = [
        {"line": place, "strength": strength, "size": size}
        for place, line in enumerate(lines.values())
        for strength, size in line
    ]
    sizes = [row["size"] for row in rows]
    low, high = min(*sizes, 0.0), max(*sizes, 0.0)
    room = 0.04 * (high - low) or 1.0
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    norms = path.points[0].norms is not None or len(path.outputs) > 1
    axis = alt.Axis(
        title="norm" if norms else "coefficient", tickCount=5, minExtent=parts.AXIS - 22
    )
    base = alt.Chart(parts.data(rows)).encode(x=_x(ends, STRONG_TO_WEAK))
    return [
        alt.Chart(parts.rule_at(0)).mark_rule(color=theme.muted, opacity=0.6).encode(y="at:Q"),
        base.mark_line(strokeWidth=1.6, opacity=0.8, color=theme.penalty(path.penalty)).encode(
            y=alt.Y("size:Q", scale=scale, axis=axis), detail="line:N"
        ),
        _names(lines, (low - room, high + room), theme),
    ]


def _names(
    lines: Mapping[str, list[tuple[float, float]]], domain: tuple[float, float], theme: Theme
) -> alt.Chart:
    """Write the names of the largest lines beside their weak ends, one above the other."""
    last = {name: line[-1][1] for name, line in lines.items()}
    told = sorted(last, key=lambda name: -abs(last[name]))[:MOST_NAMES]
    pixels = [LOWER * (domain[1] - last[name]) / (domain[1] - domain[0]) for name in told]
    rows = [
        {"name": plain(name, 12 if theme.narrow else 20), "pixel": pixel}
        for name, pixel in zip(told, parts.spread(pixels, NAME_GAP, 4, LOWER - 4), strict=True)
    ]
    y = alt.Y("pixel:Q", scale=None)
    return (
        alt.Chart(parts.data(rows))
        .mark_text(align="left", dx=6, color=theme.ink, fontSize=11)
        .encode(x=alt.value("width"), y=y, text="name:N")
    )
