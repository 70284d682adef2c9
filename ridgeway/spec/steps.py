"""What only training in steps has; a model that is solved to its optimum knows none of it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

# By dotted field, the values of a job without it.
WITHOUT_STEPS: dict[str, tuple[Any, ...]] = {
    "schedule": ("constant",),
    "warmup_epochs": (0,),
    "clip_norm": (None,),
    "early_stopping": (None,),
    "pruner": ("none",),
    "input_noise": (0,),
    "l1_method": ("proximal",),
    "precision": ("float32", "float64"),
    "search.learning_rate": (None,),
    "search.weight_decay": (None,),
    "search.dropout": (None,),
    "search.input_noise": (None,),
}


def asks_for_steps(spec: BaseModel) -> bool:
    """Tell whether a job has something that only training in steps has."""
    return any(value_at(spec, field) not in values for field, values in WITHOUT_STEPS.items())


def value_at(spec: BaseModel, field: str) -> Any:
    """Return the value at a dotted path, as JSON has it."""
    value: Any = spec
    for name in field.split("."):
        value = getattr(value, name)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
