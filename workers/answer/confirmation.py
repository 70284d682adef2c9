"""The confirmation: finalists once more, on splits, initial weights and batches that chose nothing.

confirmed = confirm([member, twin(member), rival], prepared, training)
confirmed.values(member)          # (K,) the objective on each of the fresh validation parts
confirmed.against(member, rival)  # the test of the differences between two
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import UNPENALISED
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import ForwardValidation
from workers.answer.comparing import Paired, corrected_test
from workers.answer.training import Training
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.objectives.constant import constant_logits
from workers.objectives.losses import kind_of
from workers.objectives.metrics import score
from workers.population.configuration import Configuration
from workers.population.problem import SETTLING_SHARE, Problem
from workers.population.results import PopulationResult

SPLITS = 8  # training and validation parts at least
TRIES = 5  # of a split that groups may forbid


@dataclass(frozen=True)
class Confirmed:
    """What finalists reached on K fresh splits, in the objective; NaN where they diverged.

    valid_share: validation rows over training rows. weights: what finalists that did not diverge
    ended with on the first split, their parameters by name.
    """

    scores: dict[Configuration, np.ndarray]
    constant: np.ndarray
    valid_share: float
    maximise: bool
    weights: Mapping[Configuration, Mapping[str, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def splits(self) -> int:
        """The number of training and validation parts."""
        return len(self.constant)

    def values(self, member: Configuration) -> np.ndarray | None:
        """Return a finalist's values (K,), None where it diverged."""
        found = self.scores.get(member)
        return None if found is None or np.isnan(found).any() else found

    def against(self, member: Configuration, rival: Configuration | None) -> Paired | None:
        """Test by how much a finalist is better than another, or than the constant."""
        its = self.constant if rival is None else self.values(rival)
        return None if its is None else self.against_values(member, its)

    def against_values(self, member: Configuration, its: np.ndarray) -> Paired | None:
        """Test by how much a finalist is better than what another model has on these splits."""
        own = self.values(member)
        if own is None or len(own) != len(its) or not np.isfinite(its).all():
            return None
        return corrected_test(as_loss(its - own, self.maximise), self.valid_share)


def twin(member: Configuration) -> Configuration | None:
    """Return the member with λ = 0 and everything else equal; None of one that has no penalty."""
    if member.penalty == UNPENALISED:
        return None
    return replace(member, penalty=UNPENALISED, strength=0.0, l1_ratio=0.0)


def confirm(
    finalists: Iterable[Configuration], prepared: Prepared, training: Training
) -> Confirmed | None:
    """Train the finalists on fresh splits and seeds, as one population a seed.

    None where no other split can be had.
    """
    members = list(dict.fromkeys(finalists))
    scores: list[np.ndarray] = []
    constants: list[np.ndarray] = []
    shares: list[float] = []
    weights: dict[Configuration, Mapping[str, Tensor]] = {}
    for problem in fresh_splits(prepared, training):
        folds, result = problem.folds, training.train(problem, members)
        del problem  # with its solver: those of the next splits need the memory
        if result is None:
            return None
        weights = weights or _first_weights(members, result)
        scores.append(result.fold_values)
        constants.append(constant_values(prepared.spec, folds, prepared.outputs))
        shares += [len(fold.valid_targets) / len(fold.train_targets) for fold in folds]
        del folds
    if not scores:
        return None
    table = np.concatenate(scores, axis=1)  # (members, K)
    return Confirmed(
        dict(zip(members, table, strict=True)),
        np.concatenate(constants),
        float(np.mean(shares)),
        prepared.spec.maximise,
        weights,
    )


def _first_weights(
    members: Sequence[Configuration], result: PopulationResult
) -> dict[Configuration, Mapping[str, Tensor]]:
    """Return the parameters on the first split of the members that did not diverge."""
    return {
        member: result.parameters(place, 0)
        for place, member in enumerate(members)
        if not result.diverged_at[place]
    }


def constant_values(spec: JobSpec, folds: Sequence[Fold], outputs: int) -> np.ndarray:
    """Return the objective of the constant predictor on each fold's validation rows: (F,)."""
    return np.array([_constant_value(spec, fold, outputs) for fold in folds])


def _constant_value(spec: JobSpec, fold: Fold, outputs: int) -> float:
    kind, rows = kind_of(spec, outputs), len(fold.valid_targets)
    logits = constant_logits(fold.train_targets, outputs, fold.train_weights)
    # Of a class that a training part may not hold the logit is infinite.
    constant = fold.response(kind, logits).clamp(-1e30, 1e30).expand(1, rows, outputs)
    own_kind, weights = fold.own_kind(kind), fold.valid_weights
    own = score(spec.objective, constant, fold.valid_targets, own_kind, weights)
    return float(own[0]) if math.isfinite(float(own[0])) else math.nan


def fresh_splits(prepared: Prepared, training: Training) -> Iterator[Problem]:
    """Yield the job's problem on fresh splits and seeds; none where no other split can be had.

    Forward folds know one order, which gives the same splits each time. None of the problems is
    kept here: whoever drops one has its memory for the next.
    """
    place = parts = 0
    one_order = isinstance(prepared.spec.validation, ForwardValidation)
    while parts < SPLITS and not (one_order and place):
        made = _on_fresh_splits(prepared, training, place)
        if not made:
            return
        place, parts = place + 1, parts + len(made[0].folds)
        yield made.pop()


def _on_fresh_splits(prepared: Prepared, training: Training, place: int) -> list[Problem]:
    """Return the problem on a seed's splits; none where groups forbid those of all seeds tried."""
    for number in range(TRIES):
        seed = derived_seed(prepared.spec.seed, "confirmation", place, number) % 2**32
        with suppress(JobUnrunnable):
            folds, own = prepared.resplit(seed), training.problem
            spec = own.spec.model_copy(update={"seed": seed})
            return [replace(own, spec=spec, folds=folds, settling_share=SETTLING_SHARE)]
    return []
