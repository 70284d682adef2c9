"""Some members of a population, trained as one torch program: the unit that fits the caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ridgeway.spec import Penalty as PenaltyName
from workers.configurations import Configuration
from workers.layout import Layout
from workers.optimizers import Optimizer, State
from workers.penalties import Penalty
from workers.stacking import Buffers


@dataclass(frozen=True)
class PenaltyTerm:
    """A penalty and the members that have it: positions start to stop of the chunk."""

    penalty: Penalty
    start: int
    stop: int
    strength: Tensor  # (stop - start, 1)
    l1_ratio: Tensor  # (stop - start, 1)


@dataclass
class Chunk:
    """Members that train side by side on some folds. Its tensors change in place.

    weights (F, P, columns), F folds and P members; buffers (F * P, ...) by name.
    Members are ordered by penalty, so that each penalty works on one slice.
    """

    folds: tuple[int, ...]
    members: tuple[int, ...]
    configurations: tuple[Configuration, ...]
    terms: tuple[PenaltyTerm, ...]
    weights: Tensor
    buffers: Buffers
    optimizer: Optimizer
    state: State

    def step(self, gradient: Tensor, layout: Layout) -> None:
        """One step of all members; gradient (F, P, columns) of the bare loss, overwritten."""
        last = layout.penalised_columns
        for term in self.terms:
            here = (..., slice(term.start, term.stop), slice(last))
            term.penalty.add_gradient(
                gradient[here], self.weights[here], term.strength, term.l1_ratio
            )

        def prox(weights: Tensor, metric: Tensor) -> None:
            for term in self.terms:
                here = (..., slice(term.start, term.stop), slice(last))
                term.penalty.prox(weights[here], metric[here], term.strength, term.l1_ratio)

        self.optimizer.step(self.weights, gradient, self.state, prox)

    def keep(self, kept: Sequence[bool]) -> Chunk:
        """The chunk of those members alone, with copies of their tensors."""
        positions = [position for position, stays in enumerate(kept) if stays]
        index = torch.tensor(positions, dtype=torch.int64, device=self.weights.device)
        configurations = tuple(self.configurations[position] for position in positions)
        penalties: dict[PenaltyName, Penalty] = {t.penalty.name: t.penalty for t in self.terms}
        old = self.optimizer

        def chosen(rows: Tensor) -> Tensor:  # (F * P, ...)
            shape = (len(self.folds), len(self.members), *rows.shape[1:])
            return rows.view(shape).index_select(1, index).flatten(0, 1)

        return replace(
            self,
            members=tuple(self.members[position] for position in positions),
            configurations=configurations,
            terms=penalty_terms(configurations, penalties, self.weights),
            weights=self.weights.index_select(1, index),
            buffers={name: chosen(rows) for name, rows in self.buffers.items()},
            optimizer=type(old)(old.learning_rate[index], old.weight_decay[index]),
            state=State(
                self.state.steps,
                tuple(buffer.index_select(1, index) for buffer in self.state.buffers),
            ),
        )

    @property
    def settles(self) -> list[bool]:
        """Which members have a proximal penalty."""
        proximal = {term.penalty.name for term in self.terms if term.penalty.proximal}
        return [configuration.penalty in proximal for configuration in self.configurations]


def penalty_terms(
    configurations: Sequence[Configuration],
    penalties: dict[PenaltyName, Penalty],
    like: Tensor,
) -> tuple[PenaltyTerm, ...]:
    """A term for each run of equal penalties; hyperparameters as tensors of `like`'s kind."""
    terms: list[PenaltyTerm] = []
    start = 0
    while start < len(configurations):
        name = configurations[start].penalty
        stop = start
        while stop < len(configurations) and configurations[stop].penalty == name:
            stop += 1
        run = configurations[start:stop]
        strength = like.new_tensor([c.strength for c in run]).unsqueeze(1)
        l1_ratio = like.new_tensor([c.l1_ratio for c in run]).unsqueeze(1)
        terms.append(PenaltyTerm(penalties[name], start, stop, strength, l1_ratio))
        start = stop
    return tuple(terms)
