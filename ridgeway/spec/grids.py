"""The grid of a search: every combination of its choices, counted before anybody trains."""

from __future__ import annotations

from math import prod

from ridgeway.errors import FieldError
from ridgeway.spec.dimensions import Range
from ridgeway.spec.names import SAMPLER_ROWS
from ridgeway.spec.space import OF_PENALTIES, Searched, dimensions, exists_beside
from ridgeway.spec.spec import MAX_TRIALS, JobSpec, Search
from ridgeway.spec.strengths import count_of


def budget(spec: JobSpec) -> int:
    """Return how many trials the job comes to: a grid ends with its last point."""
    return min(spec.trials, grid_size(spec)) if SAMPLER_ROWS[spec.sampler].finite else spec.trials


def budget_warnings(spec: JobSpec) -> list[str]:
    """Return what a client should know of a budget that is less than it asked for."""
    if budget(spec) == spec.trials:
        return []
    return [f"The grid has {budget(spec)} points, fewer than {spec.trials} trials."]


def grid_size(spec: JobSpec) -> int:
    """Return how many points the grid has, a path's strengths; `grid_errors` refuses ranges."""
    if spec.strengths is not None:
        return count_of(spec.strengths)
    axes = dimensions(spec.search).items()
    return sum(
        prod(_choices(axis) for name, axis in axes if exists_beside(penalty, name))
        for penalty in spec.search.penalty
    )


def grid_errors(spec: JobSpec) -> list[FieldError]:
    """Return an error for each dimension that can't be a grid's axis, or for too many points."""
    if not SAMPLER_ROWS[spec.sampler].finite or spec.kind == "path":
        return []
    errors = [
        FieldError(
            f"search.{name}",
            axis.model_dump() if isinstance(axis, Range) else axis,
            "has no end of values, and the sampler grid tries each; accepted: a list of numbers "
            "or one number",
        )
        for name, axis in _axes(spec.search).items()
        if isinstance(axis, Range | str)
    ]
    if errors:
        return errors
    points = grid_size(spec)
    if points <= MAX_TRIALS:
        return []
    message = f"makes a grid of {points:,} points; at most {MAX_TRIALS:,}"
    return [FieldError("search", None, message)]


def _axes(search: Search) -> dict[str, Searched]:
    """Return the dimensions of parameters that any trial has, the penalties' own ones last."""
    searched = dimensions(search)
    names = sorted(searched, key=lambda name: name in OF_PENALTIES)
    return {
        name: searched[name]
        for name in names
        if any(exists_beside(penalty, name) for penalty in search.penalty)
    }


def _choices(axis: Searched) -> int:
    return len(axis) if isinstance(axis, list) else 1
