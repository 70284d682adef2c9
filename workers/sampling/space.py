"""The parameters of a job's trials: which there are, and which exist beside which."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import Trial

from ridgeway.spec.dimensions import Dimension, Range
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Params
from workers.sampling.tpe import Columns


def search_space(
    spec: JobSpec, strength_range: tuple[float, float] | None
) -> dict[str, BaseDistribution]:
    """Every parameter's distribution, in the order in which `suggest` draws them.

    `strength_range` is what `"lambda": "auto"` stands for. Without a default and only where the
    search names them: dropout, label_smoothing, input_noise. The optimizer fista has no rates.
    """
    search = spec.search
    strength = search.strength
    if isinstance(strength, str):
        assert strength_range is not None, "an automatic λ range is part of the job's plan"
        strength = Range(low=strength_range[0], high=strength_range[1], log=True)
    dimensions = {
        "lambda": strength,
        "l1_ratio": search.l1_ratio,
        "learning_rate": search.learning_rate,
        "weight_decay": search.weight_decay,
        "dropout": search.dropout,
        "label_smoothing": search.label_smoothing,
        "input_noise": search.input_noise,
    }
    penalty: BaseDistribution = CategoricalDistribution(tuple(search.penalty))
    return {"penalty": penalty} | {
        name: _distribution(dimension)
        for name, dimension in dimensions.items()
        if dimension is not None
    }


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Range):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, list):
        return CategoricalDistribution(tuple(dimension))
    return FloatDistribution(dimension, dimension)


def absent_beside(penalty: object) -> set[str]:
    """λ exists unless the penalty is `none`, l1_ratio for `elastic_net` only."""
    absent = set() if penalty == "elastic_net" else {"l1_ratio"}
    return absent | {"lambda"} if penalty == "none" else absent


def suggest(trial: Trial, space: Mapping[str, BaseDistribution]) -> Params:
    """One configuration, asked of Optuna parameter by parameter."""
    penalty = _suggest(trial, "penalty", space)
    absent = {"penalty"} | absent_beside(penalty)
    rest = {name: _suggest(trial, name, space) for name in space if name not in absent}
    return {"penalty": penalty} | rest


def _suggest(trial: Trial, name: str, space: Mapping[str, BaseDistribution]) -> float | str:
    distribution = space[name]
    if isinstance(distribution, CategoricalDistribution):
        choice = trial.suggest_categorical(name, distribution.choices)
        return choice if isinstance(choice, str) else float(choice)  # type: ignore[arg-type]
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def penalties(space: Mapping[str, BaseDistribution]) -> tuple[str, ...]:
    """The names behind the indices in a column of penalties."""
    distribution = space["penalty"]
    assert isinstance(distribution, CategoricalDistribution)
    return tuple(str(choice) for choice in distribution.choices)


def existing(space: Mapping[str, BaseDistribution], columns: Columns) -> Columns:
    """The columns with NaN where a parameter does not exist beside the row's penalty.

    Columns may lack a parameter that is fixed.
    """
    names = penalties(space)
    if "penalty" in columns:
        chosen = columns["penalty"].astype(np.intp)
    else:  # one penalty only
        chosen = np.zeros(len(next(iter(columns.values()), np.empty(0))), dtype=np.intp)
    found = dict(columns)
    for name in ("lambda", "l1_ratio"):
        if name in columns:
            without = np.array([name in absent_beside(penalty) for penalty in names])
            found[name] = np.where(without[chosen], math.nan, columns[name])
    return found


def params_of(space: Mapping[str, BaseDistribution], columns: Columns) -> list[Params]:
    """Configurations from columns in Optuna's internal representation."""
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
