"""Which features a model keeps selecting when it sees one half of the rows, or the other.

Complementary pairs: the development rows are parted at random into halves, the member is trained
on each, and a half selects the features with the largest norms, at most `most` of those it uses. Of
selections that are as good as random, π = 0.75 and most = ⌊√((2π - 1) p)⌋ of p features, no more
than most² / ((2π - 1) p) ≤ 1 is expected to come out of half of all halves or more. Features that
no penalty holds (factor 0) are in every model, and none of the p. Sources: Meinshausen & Bühlmann,
Stability Selection (2010); Shah & Samworth, Variable Selection with Error Control (2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ridgeway.features import Stability
from workers.answer.columns import column_norms
from workers.answer.extent import pairs_of_halves
from workers.answer.training import Training
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.population.configuration import Configuration
from workers.population.problem import SETTLING_SHARE

THRESHOLD = 0.75
EXPECTED = 1.0  # false selections
FLOATS = 2e7  # of inputs, in halves that are trained at a time


@dataclass(frozen=True)
class Selections:
    """How often halves selected each penalised source column, of `halves` in all."""

    counts: dict[str, int]
    halves: int
    most: int

    def frequency(self, name: str) -> float | None:
        """Return the share of halves that selected a column; None of one that no penalty holds."""
        return self.counts[name] / self.halves if name in self.counts else None

    def described(self) -> Stability:
        """Return what the answer says of the selection as a whole."""
        stable = [name for name in self.counts if self.counts[name] >= THRESHOLD * self.halves]
        bound = self.most**2 / ((2 * THRESHOLD - 1) * len(self.counts))
        return Stability(
            pairs=self.halves // 2,
            most=self.most,
            threshold=THRESHOLD,
            false_selections=bound,
            stable=stable,
        )


def selections(member: Configuration, prepared: Prepared, training: Training) -> Selections | None:
    """Train the member on complementary halves; None where they can't be had, or trained."""
    factors = prepared.spec.penalty_factors
    names = [name for name in dict.fromkeys(prepared.source_columns) if factors.get(name, 1) > 0]
    most = math.floor(math.sqrt((2 * THRESHOLD - 1) * len(names) * EXPECTED))
    counts = dict.fromkeys(names, 0)
    pairs = pairs_of_halves(prepared)
    size = prepared.inputs * len(prepared.splits.development)
    at_once = max(1, int(FLOATS // size))
    if not most:
        return None
    for start in range(0, pairs, at_once):
        drawn = [_pair(prepared, place) for place in range(start, min(start + at_once, pairs))]
        halves = [half for pair in drawn if pair is not None for half in pair]
        if len(halves) < 2 * len(drawn):
            return None
        # A seed of their own: a checkpoint is told by it from that of the next halves.
        seed = derived_seed(prepared.spec.seed, "halves", start) % 2**32
        spec = training.problem.spec.model_copy(update={"seed": seed})
        problem = replace(training.problem, spec=spec, folds=halves, settling_share=SETTLING_SHARE)
        found = training.train(problem, [member])
        if found is None or found.diverged_at[0]:
            return None
        for half in range(len(halves)):
            norms = column_norms(found.parameters(0, half), prepared)
            for name in _selected({name: norms[name] for name in names}, most):
                counts[name] += 1
        del drawn, halves, problem  # before the next are drawn
    return Selections(counts, 2 * pairs, most)


def _pair(prepared: Prepared, place: int) -> Sequence[Fold] | None:
    return prepared.halves(derived_seed(prepared.spec.seed, "stability", place) % 2**32)


def _selected(norms: dict[str, float], most: int) -> list[str]:
    used = [name for name, norm in norms.items() if norm > 0]
    order = np.argsort([-norms[name] for name in used], kind="stable")[:most]
    return [used[place] for place in order]
