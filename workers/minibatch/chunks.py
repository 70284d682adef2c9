"""Some members of a population, trained as one torch program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.backends import Buffers, Models, Perturbation
from workers.models.layout import Layout
from workers.optimizers.base import Rates, Stepping, Uses
from workers.penalties.components import Components
from workers.penalties.concave import concave_threshold
from workers.penalties.hierarchy import hierarchical_step
from workers.penalties.penalties import PENALTIES
from workers.penalties.proximal import group_soft_threshold
from workers.population.configuration import Configuration
from workers.transfers import sent

# Numbers of one tensor that the optimiser works on at a time. A megabyte each of weights, gradient
# and state goes through the ten passes of an eager step together; smaller blocks lose more by
# starting operations than they gain from a nearer cache (docs/log.md).
BLOCK_FLOATS = 2**18
# Whose proximal step a member takes, in the order of a chunk's members.
BY_THE_OPTIMISER, CONCAVE, GROUPED, HIERARCHICAL = range(4)


@dataclass(eq=False)
class Chunk:
    """Members that train side by side on some folds. Its tensors change in place.

    weights, gradient and each of state (F, P, columns), F folds and P members; buffers (F, P, ...)
    by name; rates (F * P, 1); steps taken. Members whose proximal step comes after the optimiser's
    are the last ones: first concave penalties, then those with groups, then those of a skip layer.
    """

    folds: tuple[int, ...]
    members: tuple[int, ...]
    configurations: tuple[Configuration, ...]
    weights: Tensor
    gradient: Tensor
    state: tuple[Tensor, ...]
    buffers: Buffers
    rates: Rates
    perturbation: Perturbation
    steps: int = 0

    def models(self, seed: int | None) -> Models:
        """Return what a backend takes the gradient of; without a seed, what it evaluates."""
        return Models(self.weights, self.buffers, self.perturbation, seed)

    def step(self, optimizer: Stepping, layout: Layout, coefficients: Tensor) -> None:
        """Step all models by the gradient they have, in place; coefficients (K, F * P, 1).

        On a CPU rows go block by block through the whole step, unless that goes over memory once.
        """
        weights, gradient = self.weights.flatten(0, 1), self.gradient.flatten(0, 1)
        state = [tensor.flatten(0, 1) for tensor in self.state]
        whole = optimizer.passes == 1 or weights.device.type != "cpu"
        rows = len(weights) if whole else max(1, BLOCK_FLOATS // layout.columns)
        shrinks = self.counts[0] < len(self.members)
        for start in range(0, len(weights), rows):
            block = slice(start, start + rows)
            metric, strength = optimizer.update(
                weights[block],
                gradient[block],
                [tensor[block] for tensor in state],
                coefficients[:, block],
                metric_wanted=shrinks,
            )
            if shrinks:
                self._step_last(weights[block], start, (metric, strength), layout)
        self.steps += 1

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """The numbers of members before concave penalties, those with groups, of a skip layer."""
        ranks = [_rank(own) for own in self.configurations]
        before = (sum(rank < first for rank in ranks) for first in (CONCAVE, GROUPED, HIERARCHICAL))
        concave, grouped, hierarchical = before
        return concave, grouped, hierarchical

    @cached_property
    def rows_last(self) -> list[Tensor]:
        """The models, of all F * P, of concave members, of those with groups, of a skip layer."""
        first, after, last = self.counts
        models = torch.arange(len(self.folds) * len(self.members)).view(len(self.folds), -1)
        own = models[:, first:after], models[:, after:last], models[:, last:]
        return [sent(rows.flatten(), self.weights.device) for rows in own]

    def prepare(self) -> None:
        """Bring to the device what steps read beside the chunk's tensors."""
        _ = self.rows_last, self._shapes

    @cached_property
    def _shapes(self) -> Tensor:
        """Of concave members (3, c, 1): concavity over strength, which no rate scales; knee; half.

        half is 1 where the strength is that of Σ |w|^½, else 0.
        """
        first, after, _ = self.counts
        terms = _terms(self.configurations[first:after])
        shapes = [
            (term.concavity / term.l1 if term.l1 else 0.0, term.knee, float(term.half > 0))
            for term in terms
        ]
        return self.weights.new_tensor(shapes).view(-1, 3, 1).movedim(1, 0)

    def _step_last(
        self, weights: Tensor, start: int, given: tuple[Tensor, Tensor], layout: Layout
    ) -> None:
        """Step the rows from `start` on whose members have a step of their own, by theirs.

        given: the metric, and the thresholds of these steps.
        """
        metric, strength = given
        within = [self._within(rows, start, len(weights)) for rows in self.rows_last]
        concave, grouped, hierarchical = within
        if len(hierarchical):
            own, thresholds = weights[hierarchical], strength[hierarchical]
            hierarchical_step(own, metric[hierarchical], thresholds, layout.hierarchies)
            weights[hierarchical] = own
        if len(grouped):
            shrunk = weights[grouped]
            group_soft_threshold(shrunk, metric[grouped], strength[grouped], layout.groups)
            weights[grouped] = shrunk
        if len(concave):
            columns = slice(0, layout.penalised_columns)
            own = metric if metric.shape[1] == 1 else metric[:, columns]
            places = (concave + start).remainder(len(self.members)) - self.counts[0]
            ratio, knee, half = self._shapes[:, places].unbind(0)
            threshold = strength[concave]
            if layout.factors is not None:
                threshold = threshold * layout.factors
            slope = (1 - half) * threshold
            weights[concave, columns] = concave_threshold(
                weights[concave, columns],
                own[concave],
                slope,
                ratio * slope,
                knee,
                half * threshold,
            )

    def _within(self, rows: Tensor, start: int, count: int) -> Tensor:
        """Return which of the block's rows these are: of the `count` models from `start` on."""
        if count == len(self.folds) * len(self.members):  # always on a GPU, which is asked nothing
            return rows
        return rows[(rows >= start) & (rows < start + count)] - start

    def keep(self, kept: Sequence[bool]) -> Chunk:
        """Return the chunk of those members alone, with copies of their tensors."""
        positions = [position for position, stays in enumerate(kept) if stays]
        index = torch.tensor(positions, dtype=torch.int64, device=self.weights.device)
        folds = torch.arange(len(self.folds), device=index.device)[:, None]
        rows = (folds * len(self.members) + index).flatten()

        def chosen(tensor: Tensor) -> Tensor:
            return tensor.index_select(1, index)

        return replace(
            self,
            members=tuple(self.members[position] for position in positions),
            configurations=tuple(self.configurations[position] for position in positions),
            weights=chosen(self.weights),
            gradient=torch.zeros_like(self.weights[:, : len(positions)]),
            state=tuple(chosen(tensor) for tensor in self.state),
            buffers={name: chosen(tensor) for name, tensor in self.buffers.items()},
            rates=self.rates.keep(rows),
            perturbation=self.perturbation.keep(index),
        )

    def take(self, other: Chunk, index: Tensor) -> None:
        """Become, in place, what the other chunk's members at these positions (P,) are."""
        pairs = [(self.weights, other.weights), *zip(self.state, other.state, strict=True)]
        pairs += [(self.buffers[name], value) for name, value in other.buffers.items()]
        for own, found in pairs:
            own.copy_(found.index_select(1, index))
        self.steps = other.steps

    @property
    def settles(self) -> list[bool]:
        """True for each member whose penalty sets zeros."""
        return [PENALTIES[own.penalty].sparse for own in self.configurations]


@dataclass(frozen=True)
class Perturbations:
    """The kinds of perturbation that a job knows.

    dropouts: the buffers with a dropout layer's rate, if the job searches it.
    """

    label_smoothing: bool
    input_noise: bool
    dropouts: tuple[str, ...]

    @classmethod
    def of(cls, spec: JobSpec, dropouts: Sequence[str]) -> Perturbations:
        """Return those that the spec fixes or searches."""
        search = spec.search
        return cls(
            spec.label_smoothing > 0 or search.label_smoothing is not None,
            spec.input_noise > 0 or search.input_noise is not None,
            tuple(dropouts) if search.dropout is not None else (),
        )


def fresh_chunk(
    folds: Sequence[int],
    members: Sequence[int],
    configurations: Sequence[Configuration],
    initial: tuple[Tensor, Buffers],
    optimizer: Stepping,
    perturbations: Perturbations,
) -> Chunk:
    """Return members before their first step.

    initial: weights (F, columns) and buffers (F, ...) by name, which all members start with.
    """
    rows, buffers = initial
    count = len(configurations)
    weights = rows.unsqueeze(1).repeat(1, count, 1)
    own = {
        name: value.unsqueeze(1).repeat(1, count, *[1] * (value.dim() - 1))
        for name, value in buffers.items()
    }
    dropout = rows.new_tensor([each.dropout for each in configurations])
    for name in perturbations.dropouts:
        own[name] = dropout.expand(len(folds), count).contiguous()
    return Chunk(
        folds=tuple(folds),
        members=tuple(members),
        configurations=tuple(configurations),
        weights=weights,
        gradient=torch.zeros_like(weights),
        state=tuple(torch.zeros_like(weights) for _ in range(optimizer.remembers)),
        buffers=own,
        rates=_rates(configurations, len(folds), optimizer.uses, rows.device),
        perturbation=_perturbation(configurations, perturbations, rows),
    )


def _rates(
    configurations: Sequence[Configuration], folds: int, uses: Uses, device: torch.device
) -> Rates:
    """Return the hyperparameters of the members' models, fold after fold: (F * P, 1) each."""

    def column(numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=device).repeat(folds).unsqueeze(1)

    terms = _terms(configurations)
    absolute = column([0.0 if term.concave else term.l1 for term in terms])
    none = torch.zeros_like(absolute)
    descending = [descends(own, uses) for own in configurations]
    return Rates(
        learning_rate=column([own.learning_rate for own in configurations]),
        weight_decay=column([own.weight_decay for own in configurations]),
        l1=none if uses.subgradient else absolute,
        l2=column([term.l2 for term in terms]),
        last=column([_last(term) for term in terms]),
        subgradient=absolute if uses.subgradient else none,
        dense=column([uses.descent.dense if own else 0 for own in descending]),
        grown=column([uses.descent.grown if own else 1 for own in descending]),
    )


def descends(member: Configuration, uses: Uses) -> bool:
    """Return whether the member comes down from a dense net."""
    return uses.descent.always or PENALTIES[member.penalty].descends


def _last(term: Components) -> float:
    """Return the strength of what comes after the optimiser's step."""
    return term.l1 + term.half if term.concave else term.group + term.hierarchy


def _terms(configurations: Sequence[Configuration]) -> list[Components]:
    return [PENALTIES[own.penalty].components(own.strength, own.l1_ratio) for own in configurations]


def _perturbation(
    configurations: Sequence[Configuration], known: Perturbations, like: Tensor
) -> Perturbation:
    """Return what training does to the members' data, of the kinds that the job knows."""
    smoothing = [own.label_smoothing for own in configurations]
    noise = [own.input_noise for own in configurations]
    return Perturbation(
        like.new_tensor(smoothing) if known.label_smoothing else None,
        like.new_tensor(noise) if known.input_noise else None,
    )


def penalty_order(configurations: Sequence[Configuration]) -> list[int]:
    """Return positions of the members in the order of a chunk: by when their steps come."""
    return sorted(range(len(configurations)), key=lambda place: _rank(configurations[place]))


def _rank(member: Configuration) -> int:
    """Return which of the steps that come last is the member's."""
    penalty = PENALTIES[member.penalty]
    if penalty.hierarchical:
        return HIERARCHICAL
    return GROUPED if penalty.grouped else CONCAVE if penalty.concave else BY_THE_OPTIMISER
