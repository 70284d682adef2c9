"""A floor of the budget for every searched penalty: each is tried before it is judged.

A sampler that learns leaves a penalty after three bad trials, and one that draws at random may
miss it. So every other trial of a job belongs to the penalties in turn, and those between are the
sampler's. A trial's place in its job's budget decides, as in a sequence: of the first n trials,
each of k penalties has n / 2 / k or more (rounded down), whatever becomes of them, however many
workers share the job, and whoever else writes into its study.

    SAMPLERS = {"tpe": with_floors(tpe), "random": with_floors(random)}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from ridgeway.spec.space import exists_beside
from workers.sampling.axes import Floats, Indices, only_value
from workers.sampling.request import Request, Sampler
from workers.sampling.space import penalties
from workers.sampling.tpe import FAILED, STARTUP, History

ANY = -1  # instead of a penalty's index: the sampler chooses


def with_floors(sampler: Sampler) -> Sampler:
    """Return the sampler with every other trial given to the searched penalties in turn."""

    def fair(request: Request) -> dict[str, Floats]:
        if len(penalties(request.space)) == 1:
            return sampler(request)
        request = replace(request, history=cache(request.history))
        turns = penalties_in_turn(request.space, request.start, request.count)
        drawn = {name: np.full(request.count, math.nan) for name in request.space}
        for penalty in np.unique(turns).tolist():
            rows = np.flatnonzero(turns == penalty)
            several = replace(request, count=len(rows))
            if penalty == ANY:
                columns = sampler(several)
            else:
                columns = _draws_beside(penalty, sampler, several)
            for name, column in columns.items():
                drawn[name][rows] = column
        return drawn

    return fair


def penalties_in_turn(space: Mapping[str, BaseDistribution], start: int, count: int) -> Indices:
    """Return the index of the penalty (count,) of each trial from place `start` on, or ANY.

    A penalty beside which nothing is searched has one configuration: its floor is one trial.
    """
    names = penalties(space)
    only_one = np.array([_is_one_point(_space_beside(name, space)) for name in names])
    places = np.arange(start, start + count)
    rounds, indices = np.divmod(places // 2, len(names))
    return np.where((places % 2 == 1) | (only_one[indices] & (rounds > 0)), ANY, indices)


def floor_of_each(space: Mapping[str, BaseDistribution], trials: int) -> Indices:
    """Return how many of so many trials each penalty (penalties,) has at least, if all end."""
    names = penalties(space)
    share = trials // 2 // len(names)
    only_one = [_is_one_point(_space_beside(name, space)) for name in names]
    return np.where(only_one, min(share, 1), share)


def _draws_beside(penalty: int, sampler: Sampler, request: Request) -> dict[str, Floats]:
    """Draw the request's configurations as for a job that searches this penalty alone."""
    space = _space_beside(penalties(request.space)[penalty], request.space)
    if _is_one_point(space):
        drawn = {name: np.full(request.count, only_value(each)) for name, each in space.items()}
    else:
        history = partial(_history_beside, penalty, request.history)
        drawn = sampler(replace(request, space=space, history=history, stream=1 + penalty))
    return drawn | {"penalty": np.full(request.count, float(penalty))}


def _space_beside(
    penalty: str, space: Mapping[str, BaseDistribution]
) -> dict[str, BaseDistribution]:
    """Return the parameters of trials with this penalty, which is no choice any more."""
    own = {name: each for name, each in space.items() if exists_beside(penalty, name)}
    return own | {"penalty": CategoricalDistribution((penalty,))}


def _is_one_point(space: Mapping[str, BaseDistribution]) -> bool:
    return all(each.single() for each in space.values())


def _history_beside(penalty: int, read: Callable[[], History]) -> History:
    """Return the trials with this penalty, where its optimum lies; all while those are few.

    What all penalties share, such as the learning rate, is then better guessed from other
    penalties than not at all.
    """
    history = read()
    missing = np.full(len(history.tiers), math.nan)
    own = history.columns.get("penalty", missing) == penalty
    if np.count_nonzero(own & (history.tiers < FAILED)) < STARTUP:
        return history
    columns = {name: column[own] for name, column in history.columns.items()}
    return History(columns, history.tiers[own], history.values[own])
