"""The parameters of an estimator as the fields of a job's spec, and its errors back again."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any, cast

from ridgeway.errors import InvalidInput

# What a spec calls what an estimator's parameters are called.
PARAMETERS: Mapping[str, str] = {
    "model": "model",
    "search.penalty": "penalties",
    "trials": "n_trials",
    "validation": "cv",
    "objective": "objective",
    "loss": "loss",
    "test_fraction": "test_fraction",
    "seed": "random_state",
    "timeout_seconds": "timeout",
    "target": "y",
    "weights": "sample_weight",
    "groups": "groups",
    "dataset": "X",
    "file": "X",
}
OWN = ("dataset", "target", "weights", "groups", "task", "kind", "name", "priority")


def spec_fields(parameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return the fields that these parameters of an estimator stand for.

    ValueError where `spec` names what a parameter or the rows say.
    """
    more: dict[str, Any] = dict(parameters["spec"] or {})
    search = cast("dict[str, Any]", more.pop("search", None) or {})
    fields: dict[str, Any] = {
        "model": _with_kind(parameters["model"]),
        "trials": _plain(parameters["n_trials"]),
        "validation": _folds(parameters["cv"]),
        "objective": parameters["objective"],
        "test_fraction": _plain(parameters["test_fraction"]),
        "timeout_seconds": _plain(parameters["timeout"]),
        "seed": seed,
    }
    if parameters.get("loss") is not None:
        fields["loss"] = parameters["loss"]
    given = {"penalty": parameters["penalties"]} if parameters["penalties"] is not None else {}
    twice = [
        *(more.keys() & {*fields, *OWN}),
        *(f"search.{name}" for name in given if name in search),
    ]
    if twice:
        named = ", ".join(sorted(f"{name} (use {PARAMETERS.get(name, 'fit')})" for name in twice))
        raise ValueError(f"spec: has what parameters or `fit` say: {named}")
    searched = search | {name: _listed(own) for name, own in given.items()}
    return fields | more | ({"search": searched} if searched else {})


def as_value_error(error: InvalidInput) -> ValueError:
    """Return the error as scikit-learn's users expect it, by the names of parameters."""
    if not error.errors:
        return ValueError(str(error))
    return ValueError("; ".join(f"{_parameter(e.field)}: {e.message}" for e in error.errors))


def _parameter(field: str) -> str:
    found = [name for name in PARAMETERS if field == name or field.startswith(f"{name}.")]
    if not found:
        return f"spec.{field}"
    own = max(found, key=len)
    return PARAMETERS[own] + field.removeprefix(own)


def _with_kind(model: Any) -> Any:
    return {"kind": model} if isinstance(model, str) else model


def _folds(cv: Any) -> Any:
    is_count = isinstance(cv, numbers.Integral) and cv is not True and cv is not False
    return {"kind": "folds", "folds": int(cv)} if is_count else cv


def _listed(penalties: Any) -> Any:
    return penalties if isinstance(penalties, str) else list(penalties)


def _plain(value: Any) -> Any:
    """Return a number of numpy's as Python's own, which a spec's JSON takes."""
    return value.item() if hasattr(value, "item") else value
