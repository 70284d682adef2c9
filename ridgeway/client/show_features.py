"""The features of an answer as a person reads them: the largest first, and who agrees."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.features import Feature, Features
from ridgeway.words import number


def feature_table(found: Features, limit: int) -> RenderableType:
    """Show the first features, one a line, and what the columns of the table mean."""
    linear = any(feature.coefficients is not None for feature in found.features)
    names = ("norm", *(("coefficient",) if linear else ()), "folds", "halves", "importance")
    table = FittingTable([Column("feature", words=True), *map(Column, names)])
    for feature in found.features[:limit]:
        style = "" if feature.used else "dim"
        cells = _cells(feature, linear)
        table.add_row(Text(feature.name, style=style), *cells, style=style)
    parts: list[RenderableType] = []
    if found.choice == "baseline":
        parts.append(Text("The constant is recommended, which uses none: these are the best's."))
    parts.append(table)
    hidden = len(found.features) - limit
    if hidden > 0:
        parts.append(Text(f"and {hidden} more (--limit, --json)", style="dim"))
    return Group(*parts, *(Text(line, style="dim") for line in _notes(found)))


def _cells(feature: Feature, linear: bool) -> tuple[str, ...]:
    low, high = feature.importance_interval or (None, None)
    worth = "" if feature.importance is None else number(feature.importance)
    if low is not None and high is not None:
        worth = f"{worth} ({number(low)} to {number(high)})"
    shares = ("" if own is None else f"{own:.0%}" for own in (feature.folds, feature.frequency))
    weights = (_coefficient(feature),) if linear else ()
    return number(feature.norm), *weights, *shares, worth


def _coefficient(feature: Feature) -> str:
    if feature.coefficients is None:
        return ""
    values = [value for own in feature.coefficients.values() for value in own]
    return number(values[0]) if len(values) == 1 else f"{len(values)} of them"


def _notes(found: Features) -> list[str]:
    notes = [
        "importance: rise of the sealed loss when the column is shuffled, and its 95 % interval"
    ]
    if found.stability is not None:
        own = found.stability
        stable = ", ".join(own.stable) or "none"
        notes.append(
            f"halves: share of {2 * own.pairs} halves of the rows that select it, {own.most} "  # nosec B608 # English
            f"{'feature' if own.most == 1 else 'features'} each at most; from "
            f"{own.threshold:.0%} on it is stable: {stable} (at most "
            f"{number(own.false_selections)} of them expected to be false)"
        )
    if found.settled is False:
        notes.append("The net's zeros had not come to rest: whether it uses a feature says little.")
    return notes
