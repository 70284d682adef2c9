"""A regularisation path as a person reads it: strengths from the largest down, and what is in."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.client.show_answer import fact_table
from ridgeway.paths import PathPoint, RegularisationPath
from ridgeway.spec.losses import objective_label
from ridgeway.spec.names import penalty_row
from ridgeway.words import number

LINES = 16  # of strengths, beside those that have a name
FEATURES = 12


def path_summary(path: RegularisationPath) -> RenderableType:
    """Show a part of the strengths, with those that have names, and what the recommended uses."""
    caption = "λ_min: the best value; λ_1se: the largest λ within one standard error of it"
    names = ("λ", objective_label(path.objective, path.loss), "±", "features", "weights")
    table = FittingTable([*map(Column, names), Column("", words=True)])
    called = _names(path)
    step = max(1, len(path.points) // LINES)
    for place, point in enumerate(path.points):
        if place % step == 0 or place in called:
            table.add_row(
                *_cells(point), Text(", ".join(called.get(place, [])), style="bold green")
            )
    parts: list[RenderableType] = [fact_table(_facts(path)), table, Text(caption, style="dim")]
    if used := _used(path):
        parts.append(fact_table([("In the recommended", Text(used))]))
    return Group(*parts)


def _facts(path: RegularisationPath) -> list[tuple[str, Text]]:
    facts = [("Penalty", Text(penalty_row(path.penalty).label, style="bold"))]
    rates = {
        "l1 ratio": path.l1_ratio,
        "learning rate": path.learning_rate,
        "weight decay": path.weight_decay,
    }
    held = ", ".join(f"{name} {number(own)}" for name, own in rates.items() if own is not None)
    return [*facts, ("At", Text(held))] if held else facts


def _names(path: RegularisationPath) -> dict[int, list[str]]:
    """Return what the strengths are called, by their places."""
    named = {
        "λ_min": path.best_strength,
        "λ_1se": path.one_standard_error_strength,
        "next to the recommended": path.recommended_strength,
    }
    found: dict[int, list[str]] = {}
    for name, strength in named.items():
        if strength is not None:
            found.setdefault(_place(path, strength), []).append(name)
    return found


def _place(path: RegularisationPath, strength: float) -> int:
    """Return the place of the strength that is nearest in ratio."""
    ratios = [max(point.strength / strength, strength / point.strength) for point in path.points]
    return ratios.index(min(ratios))


def _cells(point: PathPoint) -> tuple[str, ...]:
    shown = (point.value, point.standard_error, point.features, point.nonzero_weights)
    return number(point.strength), *("" if own is None else number(own) for own in shown)


def _used(path: RegularisationPath) -> str:
    """Return the columns that the strength next to the recommended uses, the largest first."""
    if path.recommended_strength is None:
        return ""
    point = path.points[_place(path, path.recommended_strength)]
    if point.norms is not None:
        sizes = point.norms
    else:
        sizes = {name: max(own, key=abs) for name, own in (point.coefficients or {}).items()}
    ordered = sorted(sizes, key=lambda name: -abs(sizes[name]))
    told = ", ".join(f"{name} {number(sizes[name])}" for name in ordered[:FEATURES])
    more = len(ordered) - FEATURES
    return f"{told} and {more} more" if more > 0 else told
