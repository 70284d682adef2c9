"""The base of optimisers: one step of many models, each with its own hyperparameters.

A model is a row of `columns` numbers, penalised weights first. What a step needs beside weights,
gradient and state is laid out beforehand for every step and model (`coefficients`), so that a step
reads no Python number that changes: the same code runs eagerly, compiled, and in a CUDA graph.
Constants such as 1 - β₂ are formed in float64 (formed in float32, 1 - 0.999 is off by 1.3e-5).

The proximal step is the last act of every step, with the metric D of that step; D and the
thresholds may be scaled by a common factor, which changes no proximal point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.penalties.penalties import reachable, steps_last
from workers.penalties.proximal import soft_threshold
from workers.transfers import sent


@dataclass(frozen=True)
class Rates:
    """Hyperparameters of M models, each (M, 1) float64; strengths as in `Components`.

    last: of the groups' norms, of the concave penalty of single weights, or of a skip layer's.
    dense, grown: of a descent, after which step strengths begin to grow from zero, and at which
    they have grown evenly to these; 0 and 1 where they are so from the first step on.
    """

    learning_rate: Tensor
    weight_decay: Tensor
    l1: Tensor
    l2: Tensor
    last: Tensor
    subgradient: Tensor
    dense: Tensor
    grown: Tensor

    def keep(self, index: Tensor) -> Rates:
        """Return the rates of the models at these positions."""
        return Rates(**{name: value[index] for name, value in vars(self).items()})

    def scaled(self, share: Tensor) -> Rates:
        """Return the rates at a share of their strengths."""
        return replace(
            self,
            l1=self.l1 * share,
            l2=self.l2 * share,
            last=self.last * share,
            subgradient=self.subgradient * share,
        )


@dataclass(frozen=True)
class Descent:
    """How a training comes down from a dense net: for `dense` steps nothing is penalised, then
    strengths grow evenly until step `grown`. always: whatever the penalty, as on a path.
    """

    dense: int
    grown: int
    always: bool = False


@dataclass(frozen=True)
class Uses:
    """The parts of a step that any member of the job may use; the others are left out for all.

    Decided by the job, not by who trains together: a member is the same in any company. last: the
    proximal steps that come after the optimiser's. factors (penalised,): what multiplies the
    penalty of each column; None where all are one. descent: of the members that descend.
    """

    penalised: int  # columns; they come first
    l1: bool
    l2: bool
    last: bool
    subgradient: bool
    weight_decay: bool
    clip_norm: float | None
    factors: Tensor | None = field(default=None, compare=False)
    descent: Descent = Descent(0, 1)

    @classmethod
    def of(
        cls, spec: JobSpec, penalised: int, descent: Descent, factors: Tensor | None = None
    ) -> Uses:
        """Find what the spec's search can reach."""
        found = reachable(spec.search.penalty)
        sparse = found.l1 > 0
        return cls(
            penalised=penalised,
            l1=sparse and spec.l1_method == "proximal",
            l2=found.l2 > 0,
            last=steps_last(spec.search.penalty),
            subgradient=sparse and spec.l1_method == "subgradient",
            weight_decay=spec.search.weight_decay != 0,
            clip_norm=spec.clip_norm,
            factors=factors,
            descent=descent,
        )

    def by_column(self, strengths: Tensor) -> Tensor:
        """Return strengths (m, 1) times the factors of the penalised columns."""
        return strengths if self.factors is None else strengths * self.factors


class Stepping(Protocol):
    """The interface of an optimiser, eager or compiled; see Optimizer."""

    uses: Uses
    remembers: int
    passes: int  # over memory, about

    def coefficients(self, rates: Rates, first_step: int, factors: Sequence[float]) -> Tensor: ...

    def update(
        self,
        weights: Tensor,
        gradient: Tensor,
        state: Sequence[Tensor],
        coefficients: Tensor,
        *,
        metric_wanted: bool,
    ) -> tuple[Tensor, Tensor]: ...


class Optimizer(ABC):
    """Step rows in place, remembering `remembers` numbers for each weight."""

    remembers: int
    passes = 10

    def __init__(self, uses: Uses) -> None:
        self.uses = uses

    def coefficients(self, rates: Rates, first_step: int, factors: Sequence[float]) -> Tensor:
        """Lay out (S, K, M, 1) float64 for S steps, the first being number `first_step` from 0.

        factors: the schedule's, one for the step before the first and one for each step.
        """
        like = rates.learning_rate
        schedule = sent(torch.tensor(factors, dtype=torch.float64), like.device)[:, None, None]
        before, factor = schedule[:-1], schedule[1:]
        steps = torch.arange(len(factor), device=like.device)[:, None, None] + first_step
        rates = rates.scaled(((steps + 1 - rates.dense) / (rates.grown - rates.dense)).clamp(0, 1))
        rows = [2 * rates.l2, rates.subgradient, *self._own(rates, steps, before, factor)]
        return torch.stack([row.expand(len(factor), *like.shape) for row in rows], 1)

    def update(
        self,
        weights: Tensor,
        gradient: Tensor,
        state: Sequence[Tensor],
        coefficients: Tensor,
        *,
        metric_wanted: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Step some rows (m, columns), in place; coefficients (K, m, 1).

        The gradient of the bare loss is overwritten. Returns what the step that comes last needs:
        the metric, (m, columns) or (m, 1), and that step's thresholds (m, 1). Where they are not
        wanted they may be anything.
        """
        uses = self.uses
        ridge, sign, threshold, last, *own = coefficients.unbind(0)
        penalised, pull = weights[:, : uses.penalised], gradient[:, : uses.penalised]
        if uses.l2:
            pull.addcmul_(penalised, uses.by_column(ridge))
        if uses.subgradient:
            pull.addcmul_(penalised.sign(), uses.by_column(sign))
        if uses.clip_norm is not None:
            # A gradient that is made shorter takes its threshold along, or λ would grow.
            factor = (uses.clip_norm / _norms(gradient)).clamp_max_(1)
            gradient.mul_(factor)
            threshold, last = threshold * factor, last * factor
        metric = self._move(weights, gradient, state, own)
        if uses.l1:
            narrow = metric if metric.shape[1] == 1 else metric[:, : uses.penalised]
            soft_threshold(penalised, uses.by_column(threshold) / narrow)
        return metric, last

    @abstractmethod
    def _own(self, rates: Rates, steps: Tensor, before: Tensor, factor: Tensor) -> list[Tensor]:
        """Return thresholds of l1 and of the last step, and what `_move` takes; each as (S, M, 1).

        steps, counted from 0, the schedule's factor before and at each: (S, 1, 1).
        """

    @abstractmethod
    def _move(
        self, weights: Tensor, gradient: Tensor, state: Sequence[Tensor], own: Sequence[Tensor]
    ) -> Tensor:
        """Take the step without its proximal part; return the metric."""


def _norms(rows: Tensor) -> Tensor:
    """Return ‖row‖₂ (m, 1)."""
    return torch.linalg.vector_norm(rows, dim=1, keepdim=True)
