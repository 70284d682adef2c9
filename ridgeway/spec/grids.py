"""The grid of a search: every combination of its choices, counted before anybody trains."""

from __future__ import annotations

from math import prod
from typing import Any, cast

from ridgeway.errors import FieldError
from ridgeway.spec.dimensions import Range
from ridgeway.spec.names import PenaltyName
from ridgeway.spec.spec import MAX_TRIALS, JobSpec

ALWAYS = ("learning_rate", "weight_decay", "dropout", "label_smoothing", "input_noise")


def budget(spec: JobSpec) -> int:
    """How many trials the job comes to: a grid ends with its last point."""
    return min(spec.trials, grid_size(spec)) if spec.sampler == "grid" else spec.trials


def budget_warnings(spec: JobSpec) -> list[str]:
    """What a client should know of a budget that is less than it asked for."""
    if budget(spec) == spec.trials:
        return []
    return [f"The grid has {budget(spec)} points, fewer than {spec.trials} trials."]


def grid_size(spec: JobSpec) -> int:
    """How many points the grid has; ranges are refused by `grid_errors`."""
    return sum(
        prod(_choices(spec, name) for name in _fields(spec, penalty))
        for penalty in spec.search.penalty
    )


def grid_errors(spec: JobSpec) -> list[FieldError]:
    """What of the search can't be a grid's axis."""
    if spec.sampler != "grid":
        return []
    names = {name: None for penalty in spec.search.penalty for name in _fields(spec, penalty)}
    errors = [
        FieldError(
            f"search.{'lambda' if name == 'strength' else name}",
            value.model_dump() if isinstance(value, Range) else value,
            "has no end of values, and the sampler grid tries each; accepted: a list of numbers "
            "or one number",
        )
        for name in names
        if isinstance(value := getattr(spec.search, name), Range | str)
    ]
    if errors:
        return errors
    points = grid_size(spec)
    if points <= MAX_TRIALS:
        return []
    message = f"makes a grid of {points:,} points; at most {MAX_TRIALS:,}"
    return [FieldError("search", None, message)]


def _fields(spec: JobSpec, penalty: PenaltyName) -> list[str]:
    """The searched fields that exist beside a penalty."""
    names = [name for name in ALWAYS if getattr(spec.search, name) is not None]
    names += ["strength"] if penalty != "none" else []
    return names + (["l1_ratio"] if penalty == "elastic_net" else [])


def _choices(spec: JobSpec, name: str) -> int:
    value: Any = getattr(spec.search, name)
    return len(cast("list[float]", value)) if isinstance(value, list) else 1
