"""Tree-structured Parzen estimation of whole populations, from columns.

Bergstra et al., Algorithms for Hyper-Parameter Optimization (2011), by the rules of Optuna's
TPESampler(multivariate=True, group=True, constant_liar=True): the best tenth of the trials, at most
25, against the rest and what is pending.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from scipy.stats.qmc import Sobol

from workers.sampling.axes import Axis, Floats, Indices, only_value
from workers.sampling.parzen import Parzen, recency_weights

STARTUP = 10  # finished trials before which draws are uniform
CANDIDATES = 24  # of which each draw is the best
REFIT = 4  # draws between two fits of what is pending
NEAREST = 500  # of the bad trials, those best in value are all kept
SAMPLED = 500  # and so many of the others stand for all of them

SORTED = 10 * NEAREST  # a group of parameters that few trials have still has its best ones

# Tiers of trials: complete ones are better than any pruned one, failed ones worse than all.
COMPLETE = 0
FAILED = np.iinfo(np.int64).max - 1
PENDING = np.iinfo(np.int64).max
Columns: TypeAlias = Mapping[str, Floats]
Existing: TypeAlias = Callable[[Columns], Columns]


@dataclass(frozen=True)
class History:
    """Trials in the order of their numbers, one row each.

    columns: by parameter, (n,) in Optuna's internal representation, NaN where a trial has none.
    tiers (n,): COMPLETE, then pruned ones, FAILED, PENDING. values (n,): lower is better within a
    tier.
    """

    columns: Columns
    tiers: NDArray[np.int64]
    values: Floats


def propose(
    history: History,
    space: Mapping[str, BaseDistribution],
    count: int,
    generator: np.random.Generator,
    existing: Existing = dict,
) -> dict[str, Floats]:
    """Draw `count` configurations: columns (count,) in Optuna's internal representation.

    existing: puts NaN where a parameter does not exist beside the others of its draw.
    """
    searched = [Axis.of(name, each) for name, each in space.items() if not each.single()]
    if np.count_nonzero(history.tiers != PENDING) < STARTUP or not searched:
        drawn = _even(searched, count, generator)
    else:
        drawn = _drawn(history, searched, count, generator, existing)
    found = {d.name: d.decode(drawn[d.name]) for d in searched}
    fixed = {
        name: np.full(count, only_value(each)) for name, each in space.items() if each.single()
    }
    return dict(existing({name: (found | fixed)[name] for name in space}))


def _even(searched: Sequence[Axis], count: int, generator: np.random.Generator) -> Columns:
    """Return points of a scrambled Sobol sequence: uniform, and spread out where they are many."""
    if not searched:
        return {}
    sequence = Sobol(len(searched), scramble=True, rng=generator)
    quantiles = sequence.random_base2((count - 1).bit_length())[:count]
    return {d.name: d.spread(row) for d, row in zip(searched, quantiles.T, strict=True)}


def _drawn(
    history: History,
    searched: Sequence[Axis],
    count: int,
    generator: np.random.Generator,
    existing: Existing,
) -> Columns:
    """Draw a few at a time, so that later draws keep away from where earlier ones are."""
    missing = np.full(len(history.values), math.nan)
    columns = {d.name: d.encode(history.columns.get(d.name, missing)) for d in searched}
    order = _best_first(history)
    finished = int(np.count_nonzero(history.tiers != PENDING))
    best = min(good_count(finished), int(np.count_nonzero(history.tiers < FAILED)))
    subspaces = [
        Subspace.of(axes, columns, order[:best], order[best:finished], order[finished:], generator)
        for axes in decomposed(searched, columns)
    ]
    drawn = {d.name: np.empty(0) for d in searched}
    while len(drawn[searched[0].name]) < count:
        several = min(REFIT, count - len(drawn[searched[0].name]))
        fresh = {d.name: np.empty(0) for d in searched}
        for subspace in subspaces:
            rows = subspace.draw(drawn, several, generator)
            fresh |= {d.name: rows[:, i] for i, d in enumerate(subspace.axes)}
        fresh = existing(fresh)
        drawn = {name: np.concatenate([drawn[name], fresh[name]]) for name in drawn}
    return drawn


def _best_first(history: History) -> Indices:
    """Return rows from the best on, the pending ones last.

    In a long history those behind the first SORTED come in any order.
    """
    tiers, values = history.tiers, history.values
    complete = np.flatnonzero(tiers == COMPLETE)
    if len(complete) <= SORTED:
        return np.lexsort((values, tiers))
    bound = np.partition(values[complete], SORTED)[SORTED]
    first = complete[values[complete] <= bound]
    first = first[np.argsort(values[first], kind="stable")]
    rest = np.ones(len(tiers), dtype=bool)
    rest[first] = False
    pending = tiers == PENDING
    return np.concatenate([first, np.flatnonzero(rest & ~pending), np.flatnonzero(pending)])


def good_count(finished: int) -> int:
    """Return how many of the finished trials are good ones: Optuna's default_gamma."""
    return min(math.ceil(0.1 * finished), 25)


def decomposed(searched: Sequence[Axis], columns: Columns) -> list[list[Axis]]:
    """Group axes that exist in the same trials; an axis that no trial has stands alone."""
    subspaces: dict[bytes, list[Axis]] = {}
    for d in searched:
        present = ~np.isnan(columns[d.name])
        pattern = np.packbits(present).tobytes() if present.any() else d.name.encode()
        subspaces.setdefault(pattern, []).append(d)
    return list(subspaces.values())


@dataclass(frozen=True)
class Subspace:
    """Axes that are drawn together: the good trials' density, and the bad trials' rows.

    bad (n, d), in the order of numbers; a row is the `ages`-th (n,) oldest of `observed`, and
    stands for `scales` (n,) rows.
    """

    axes: Sequence[Axis]
    good: Parzen
    bad: Floats
    ages: Indices
    scales: Floats
    observed: int

    @classmethod
    def of(
        cls,
        axes: Sequence[Axis],
        columns: Columns,
        good: Indices,
        bad: Indices,
        pending: Indices,
        generator: np.random.Generator,
    ) -> Subspace:
        """Fit the trials that have these axes, among good, bad (best first) and pending ones."""
        present = ~np.isnan(columns[axes[0].name])
        good, bad, pending = (
            np.sort(good[present[good]]),
            bad[present[bad]],
            pending[present[pending]],
        )
        rows = np.stack([columns[d.name] for d in axes], axis=1)
        weights = recency_weights(np.arange(len(good)), len(good))
        estimator = Parzen(axes, rows[good], weights)
        everything = np.sort(np.concatenate([bad, pending]))
        rest, scale = bad[NEAREST:], 1.0
        if len(rest) > SAMPLED:
            scale = len(rest) / SAMPLED
            rest = generator.choice(rest, SAMPLED, replace=False)
        kept = np.concatenate([bad[:NEAREST], pending, rest])
        scales = np.repeat([1.0, scale], [len(kept) - len(rest), len(rest)])
        by_age = np.argsort(kept)
        kept, scales = kept[by_age], scales[by_age]
        ages = np.searchsorted(everything, kept)
        return cls(axes, estimator, rows[kept], ages, scales, len(everything))

    def draw(self, pending: Columns, count: int, generator: np.random.Generator) -> Floats:
        """Draw points (count, d), each the best of its candidates; `pending` ones count as bad."""
        rows = np.stack([pending[d.name] for d in self.axes], axis=1)
        rows = rows[~np.isnan(rows[:, 0])]
        observed = self.observed + len(rows)
        ages = np.concatenate([self.ages, np.arange(self.observed, observed)])
        scales = np.concatenate([self.scales, np.ones(len(rows))])
        weights = scales * recency_weights(ages, observed)
        bad = Parzen(self.axes, np.concatenate([self.bad, rows]), weights)
        candidates = self.good.sample(count * CANDIDATES, generator)
        ratio = self.good.log_density(candidates) - bad.log_density(candidates)
        best = ratio.reshape(count, CANDIDATES).argmax(axis=1)
        return candidates[np.arange(count) * CANDIDATES + best]
