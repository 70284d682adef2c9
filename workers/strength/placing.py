"""Where the strengths of a net's path lie: close to each other where few of them drop many columns.

Evenly in logarithms, most strengths of a net's path leave it as it is, and between two of them it
may lose all columns. So some strengths are trained first, and tell how many columns are left; the
others go where these fall (docs/decisions/placing.md).

    left = {100.0: 0, 10.0: 12, 1.0: 30, 0.1: 30}  # columns by strength
    spread(left, (0.1, 100.0), 5)  # 53.2, 28.4, 15.1, 6.23, 1.58
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.strengths import count_of
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.watch import Watch
from workers.strength.probe import BELOW, COARSE, StrengthRange, middle_member, unprobed
from workers.train import refit

OF_COLUMNS = 2 / 3  # of the strengths, where columns fall; the others go evenly over the range
NEAREST = 1.02  # ratio of neighbours; nearer ones would tell folds apart rather than strengths
MARGIN = 1.25  # of the strength that left no column: folds lose their last ones apart
PLACED_FIRST = 8  # strengths whose columns are counted between the ends of a path job
SHARE = 0.25  # of the models that a path job trains: the most that counting columns may add


def spread(left: Mapping[float, float], fixed: Sequence[float], count: int) -> list[float]:
    """Return `count` strengths between the fixed ones, from the strongest down.

    left: how many columns are left at some strengths, two or more. Each strength goes, one after
    the other, where the widest gap is. A gap is as wide as its share of the range in logarithms and
    its share of the logarithm of columns, weighted; between known strengths columns are taken to
    fall evenly.
    """
    if not count:
        return []
    known = sorted(left)
    places = np.log(known)
    reached = _reached(places, np.array([left[own] for own in known], dtype=float), count)
    ends = np.interp(np.log(sorted(fixed)), places, reached)
    widths, added = np.diff(ends), np.zeros(len(ends) - 1, dtype=np.int64)
    for _ in range(count):
        added[np.argmax(widths / (added + 1))] += 1
    levels = [
        start + width * (place + 1) / (more + 1)
        for start, width, more in zip(ends[:-1], widths, added, strict=True)
        for place in range(more)
    ]
    found = np.exp(np.interp(levels, reached, places)).clip(min(fixed), max(fixed))
    return found[::-1].tolist()


def _reached(places: np.ndarray, left: np.ndarray, count: int) -> np.ndarray:
    """Return how far along a path each known strength is, weakest first, increasing.

    A stronger one that left more columns than a weaker one did so by chance.
    """
    fallen = -np.diff(np.log(np.maximum.accumulate(left[::-1])[::-1].clip(1)))
    steps = np.diff(places)
    along = steps / steps.sum()
    if fallen.any():
        steepest = steps / (count * math.log(NEAREST))
        of_columns = np.minimum(OF_COLUMNS * fallen / fallen.sum(), steepest)
        along = (1 - OF_COLUMNS) * along + of_columns
    return np.concatenate([[0.0], np.cumsum(along)])


def drops_columns(member: Configuration) -> bool:
    """Return whether a path of the member's penalty goes from all columns to none."""
    return PENALTIES[member.penalty].components(1.0, member.l1_ratio).sparse


def is_placed(spec: JobSpec) -> bool:
    """Return whether the strengths of a net's path job are to be placed by its columns.

    Not where they are given, where no column is dropped, and where counting costs too much.
    """
    if spec.kind != "path" or spec.strengths is None or isinstance(spec.strengths, list):
        return False
    trained = count_of(spec.strengths) * (spec.folds + 1)
    counted = len(COARSE) + PLACED_FIRST
    return drops_columns(middle_member(spec, 1.0)) and counted <= SHARE * trained


def placed_strengths(problem: Problem, watch: Watch) -> StrengthRange:
    """Return a path job's strengths, from where a net of the problem's only fold has no column.

    Two populations are trained on the fold's training rows as trials would be: strengths a decade
    apart find the first that leaves none, others what lies between it and 1e-4 of it, the path's
    last. A fixed range with a warning where that tells nothing. JobUnrunnable where the model can't
    be trained.
    """
    spec = problem.spec
    own = replace(problem, spec=spec.model_copy(update={"early_stopping": None}))
    assert isinstance(spec.strengths, int)
    scale = PENALTIES[middle_member(spec, 1.0).penalty].probe_scale
    left = _counted(own, [scale * strength for strength in COARSE], watch)
    kept = [strength for strength, columns in left.items() if columns > 0]
    if not kept or len(left) < 2:
        return unprobed("every net lost all columns or diverged", scale)
    beyond = [strength for strength in left if strength > max(kept)]
    high = min(beyond, default=max(kept))
    low = max(float(f"{BELOW * high:.3g}"), min(left))
    left |= _counted(own, spread(left, (low, high), PLACED_FIRST), watch)
    if beyond:
        high = _end(left, high)
    within = spread(left, (low, high), spec.strengths - 2)
    none = f'no net lost all columns under a λ of up to {high:g}: "auto" goes no further'
    return StrengthRange(low, high, () if beyond else (none,), (high, *within, low))


def _end(left: Mapping[float, float], high: float) -> float:
    """Return where a path may begin: a little above the weakest strength that left nothing."""
    last = max(strength for strength, columns in left.items() if columns > 0)
    weakest = min(strength for strength in left if strength > last)
    return min(high, float(f"{MARGIN * weakest:.3g}"))


def _counted(problem: Problem, strengths: Sequence[float], watch: Watch) -> dict[float, float]:
    """Train a net at each strength; return the columns left, without those that diverged."""
    members = [middle_member(problem.spec, strength) for strength in strengths]
    models = refit(problem, members, watch=watch)
    columns = columns_left(models.features, models.nonzero_weights)
    whole = ~models.diverged_at.astype(bool)
    return {
        strength: float(own)
        for strength, own, well in zip(strengths, columns[:, 0], whole, strict=True)
        if well
    }


def columns_left(features: np.ndarray | None, nonzero_weights: np.ndarray) -> np.ndarray:
    """Return the columns in use; of a model whose inputs are not known, its weights."""
    return nonzero_weights if features is None else features
