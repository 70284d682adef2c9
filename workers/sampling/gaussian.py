"""Gaussian processes through Optuna's GPSampler, on a capped history.

A Gaussian process costs the cube of its history, and Optuna's models only parameters that every
trial has. So it learns from at most KEPT trials, and a parameter that a trial has not stands in the
middle of its range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from workers.sampling.axes import Axis, Floats, Indices, only_value
from workers.sampling.tpe import FAILED, PENDING, Columns, Existing, History

optuna.logging.set_verbosity(optuna.logging.WARNING)

KEPT = 100  # finished trials: half the best, half the newest of the others


def gaussian_draws(
    history: History,
    space: Mapping[str, BaseDistribution],
    count: int,
    seed: int,
    existing: Existing,
) -> dict[str, Floats]:
    """Draw `count` configurations, each aware of those before it.

    Returns columns (count,) in Optuna's internal representation, NaN where `existing` puts it.
    """
    searched = [Axis.of(name, each) for name, each in space.items() if not each.single()]
    study = optuna.create_study(sampler=GPSampler(seed=seed, warn_independent_sampling=False))
    study.add_trials(_frozen(history, searched))
    own = {d.name: d.distribution for d in searched}
    drawn = {name: np.full(count, only_value(each)) for name, each in space.items()}
    for i in range(count):
        trial = study.ask(own)
        for name, distribution in own.items():
            drawn[name][i] = distribution.to_internal_repr(trial.params[name])
    return dict(existing(drawn))


def _frozen(history: History, searched: Sequence[Axis]) -> list[FrozenTrial]:
    """Return the trials that the process learns from, then the pending ones."""
    columns = _filled(history.columns, searched, len(history.values))
    usable = ~np.any([np.isnan(column) for column in columns.values()], axis=0)
    kept = [row for row in _kept(history) if usable[row]]
    finite = history.values[history.tiers < FAILED]
    worst = float(finite.max()) if len(finite) else 0.0
    return [
        create_trial(
            state=TrialState.RUNNING if history.tiers[row] == PENDING else TrialState.COMPLETE,
            value=None
            if history.tiers[row] == PENDING
            else float(worst if history.tiers[row] == FAILED else history.values[row]),
            params={
                d.name: d.distribution.to_external_repr(float(columns[d.name][row]))
                for d in searched
            },
            distributions={d.name: d.distribution for d in searched},
        )
        for row in kept
    ]


def _filled(columns: Columns, searched: Sequence[Axis], count: int) -> dict[str, Floats]:
    """Fill gaps with the middle of the range; NaN stays where a value lies outside of it."""
    found: dict[str, Floats] = {}
    for d in searched:
        column = columns.get(d.name, np.full(count, math.nan))
        middle = 0.0 if d.choices else float(d.decode(np.array([0.5]))[0])
        outside = np.isnan(d.encode(column)) & ~np.isnan(column)
        found[d.name] = np.where(outside, math.nan, np.where(np.isnan(column), middle, column))
    return found


def _kept(history: History) -> Indices:
    """Return the rows of the best and the newest finished trials, and of the pending ones."""
    pending = np.flatnonzero(history.tiers == PENDING)
    order = np.lexsort((history.values, history.tiers))
    order = order[: len(order) - len(pending)]
    best, others = order[: KEPT // 2], np.sort(order[KEPT // 2 :])
    newest = others[-(KEPT - KEPT // 2) :]
    return np.concatenate([np.sort(np.concatenate([best, newest])), pending])
