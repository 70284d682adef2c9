"""Configurations of a search space: asked of Optuna one by one, or as columns for samplers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial

from ridgeway.answers import Params
from ridgeway.spec.space import OF_PENALTIES, exists_beside
from workers.sampling.tpe import Columns


def suggest(trial: Trial, space: Mapping[str, BaseDistribution]) -> Params:
    """Ask Optuna for one configuration, parameter by parameter."""
    penalty = _suggest(trial, "penalty", space)
    rest = {
        name: _suggest(trial, name, space)
        for name in space
        if name != "penalty" and exists_beside(str(penalty), name)
    }
    return {"penalty": penalty} | rest


def _suggest(trial: Trial, name: str, space: Mapping[str, BaseDistribution]) -> float | str:
    distribution = space[name]
    if isinstance(distribution, CategoricalDistribution):
        choice = trial.suggest_categorical(name, distribution.choices)
        return choice if isinstance(choice, str) else float(choice)  # type: ignore[arg-type]
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def penalties(space: Mapping[str, BaseDistribution]) -> tuple[str, ...]:
    """Return the names behind the indices in a column of penalties."""
    distribution = space["penalty"]
    assert isinstance(distribution, CategoricalDistribution)
    return tuple(str(choice) for choice in distribution.choices)


def existing(space: Mapping[str, BaseDistribution], columns: Columns) -> Columns:
    """Return the columns with NaN where a parameter does not exist beside the row's penalty.

    Columns may lack a parameter that is fixed.
    """
    names = penalties(space)
    if "penalty" in columns:
        chosen = columns["penalty"].astype(np.intp)
    else:  # one penalty only
        chosen = np.zeros(len(next(iter(columns.values()), np.empty(0))), dtype=np.intp)
    found = dict(columns)
    for name in OF_PENALTIES:
        if name in columns:
            without = np.array([not exists_beside(penalty, name) for penalty in names])
            found[name] = np.where(without[chosen], math.nan, columns[name])
    return found


def external_params(space: Mapping[str, BaseDistribution], columns: Columns) -> list[Params]:
    """Return configurations from columns in Optuna's internal representation."""
    listed = {name: columns[name].tolist() for name in space}
    rows = zip(*listed.values(), strict=True)
    return [
        {
            name: _external(space[name], value)
            for name, value in zip(listed, row, strict=True)
            if not math.isnan(value)
        }
        for row in rows
    ]


def _external(distribution: BaseDistribution, value: float) -> float | str:
    external = distribution.to_external_repr(value)
    return external if isinstance(external, str) else float(external)
