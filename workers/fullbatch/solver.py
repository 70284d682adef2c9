"""`optimizer: "exact"`: populations of linear models, solved to the optimum.

On a CPU with a compiler one after the other (`Exact`), elsewhere side by side (`Fista`). Under the
pinball loss one after the other everywhere, on the CPU (`QuantileFold`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from ridgeway.errors import JobUnrunnable
from ridgeway.jobs.plan import Engine
from workers.backends import Buffers
from workers.backends.dense import Dense
from workers.fullbatch.exact import Exact, exact_folds
from workers.fullbatch.fista import Fista
from workers.fullbatch.initial import adaptive_weights
from workers.fullbatch.one_by_one import FoldSolver, OneByOne, wanted
from workers.fullbatch.quantile import QuantileFold
from workers.fullbatch.rows import LinearFit, tells_apart
from workers.fullbatch.stand_in import training_rows
from workers.fullbatch.terms import Strengths
from workers.kernels import Library, load
from workers.models.building import build_model
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters
from workers.objectives.losses import Quantile, of_classes
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.judging import Judge
from workers.population.memory import free_floats
from workers.population.problem import Problem
from workers.population.results import PopulationResult
from workers.population.roll import Roll, ScoredRoll
from workers.population.solver import MEMORY_FLOATS, Solver
from workers.population.state import PartState

R = TypeVar("R", bound=Roll)
Rounds: TypeAlias = OneByOne | Fista  # members on their way, round by round

COLUMN_FLOATS, ROW_FLOATS = 24, 8  # that a model's solution takes for each weight and each logit
ONE_BY_ONE, SIDE_BY_SIDE, INTERIOR = "exact", "fista", "interior"  # backends
# Of members that are solved one after the other, between two checkpoints: the least number, the
# most, and how many cells of inputs they may go through together.
LEAST_AT_ONCE, MOST_AT_ONCE, CELLS_AT_ONCE = 8, 128, 500_000_000


class FullBatch(Solver):
    """Solves linear models, round by round; a round counts as an epoch.

    A member whose folds have all converged leaves, and its curve stays at its last value.
    """

    optimizer = "exact"

    def __init__(self, problem: Problem) -> None:
        spec, folds, outputs = problem.spec, problem.folds, problem.outputs
        self.problem = problem
        self._library, self.notes = _library(problem)
        self.engine = Engine(
            device=problem.device.type,
            backend=_backend(problem, self._library),
            compiled=self._library is not None,
        )
        self._side_by_side = self.engine.backend == SIDE_BY_SIDE
        self.fit = _fit_of(problem, self._library)
        model = build_model(spec.model, problem.inputs, outputs).to(problem.device, problem.dtype)
        self.layout = Layout.of(describe_parameters(model, spec.penalize, spec.group_by))
        self.backend = Dense(model, self.layout, problem.kind)
        self.judge = Judge(problem, self.backend)
        self.buffers: Buffers = {}
        longest = max(len(rows.inputs) for rows in self.fit.folds)
        floats = COLUMN_FLOATS * (problem.inputs + 1) + ROW_FLOATS * longest
        self._member_floats = len(folds) * outputs * floats
        self.together = max(1, MEMORY_FLOATS // self._member_floats)
        if not self._side_by_side:
            self.together = min(self.together, _at_once(self.fit))

    @property
    def most_in_memory(self) -> int:
        fitting = free_floats(self.problem.dtype.itemsize) // self._member_floats
        return max(1, min(self.together, fitting))

    @property
    def member_bytes(self) -> int:
        return self._member_floats * self.problem.dtype.itemsize

    def rate_steps(self) -> None:
        return None

    def closing_notes(self, roll: Roll) -> list[str]:
        return []

    def roll(self, epochs: Sequence[int]) -> Roll:
        return _certified(super().roll(epochs))

    def scored_roll(self, members: int) -> ScoredRoll:
        return _certified(super().scored_roll(members))

    def result(self, roll: ScoredRoll) -> PopulationResult:
        for member in np.flatnonzero(roll.alive):
            ended = roll.ended_at[member]
            roll.fold_curves[member, :, ended:] = roll.fold_curves[member, :, ended - 1, None]
        return super().result(roll)

    def begin(self, members: Sequence[Configuration], state: PartState, roll: Roll) -> Solving:
        return Solving(self, members, state, roll)

    def work(self, members: Sequence[Configuration]) -> Sequence[float]:
        if self._side_by_side:
            return super().work(members)
        return self._folds[0].work(wanted(_strengths(members)))

    def share(self, epochs: int, within: float) -> float:
        # One by one the first round is all that a member takes, but for the few that are left over.
        first = not self._side_by_side and epochs == 0
        return within if first else super().share(epochs, within)

    def rounds(self, members: Sequence[Configuration]) -> Rounds:
        """Return the members before their first round."""
        strengths = _strengths(members)
        if self._side_by_side:
            return Fista(self.fit, strengths)
        if isinstance(self.fit.kind, Quantile):
            return OneByOne(self.fit, strengths, self._folds)
        return Exact(self.fit, strengths, self._folds)

    @cached_property
    def _folds(self) -> Sequence[FoldSolver]:
        if isinstance(self.fit.kind, Quantile):
            return [QuantileFold(self.fit, fold) for fold in range(len(self.fit.folds))]
        assert self._library is not None, "there are no kernels"
        return exact_folds(self.fit, self._library)


def _strengths(members: Sequence[Configuration]) -> Strengths:
    """Return the members' strengths of each part of a penalty."""
    parts = [PENALTIES[own.penalty].components(own.strength, own.l1_ratio) for own in members]
    return Strengths.of(parts, [own.label_smoothing for own in members])


def _fit_of(problem: Problem, library: Library | None) -> LinearFit:
    """Return the problem's folds as a fit, with an initial one made where a penalty needs it."""
    spec, by_input = problem.spec, problem.by_input
    rows = [training_rows(spec, fold, problem.kind) for fold in problem.folds]
    fit = LinearFit(
        rows,
        problem.kind,
        problem.outputs,
        problem.dtype,
        problem.device,
        spec.group_by,
        spec.penalize,
        by_input.factors,
        by_input.groups,
        _bounds(problem),
    )
    _refuse_roots(problem)
    if any(PENALTIES[name].adaptive for name in spec.search.penalty):
        return replace(fit, adaptive=adaptive_weights(fit, library))
    return fit


def _refuse_roots(problem: Problem) -> None:
    """Refuse a plug-in's Σ |w|^½ beside the pinball loss, which no tangent at zero begins."""
    for name in problem.spec.search.penalty:
        root = PENALTIES[name].components(1.0, 0.5).half > 0
        if root and isinstance(problem.kind, Quantile):
            raise JobUnrunnable(
                f"penalty '{name}' has a term in the roots of weights, which the optimizer exact "
                "does not know beside the loss quantile: take another loss, or another optimizer"
            )


def _at_once(fit: LinearFit) -> int:
    """Return how many members are solved, one after the other, between two checkpoints."""
    cells = fit.outputs * sum(rows.inputs.numel() for rows in fit.folds)
    return max(LEAST_AT_ONCE, min(MOST_AT_ONCE, CELLS_AT_ONCE // max(1, cells)))


def _bounds(problem: Problem) -> Tensor | None:
    """Return the bounds of weights on each fold, (F, 2, d), in its standardised units."""
    own = [
        problem.by_input.scaled_bounds(fold.input_scales, fold.linear_units(problem.kind)[1])
        for fold in problem.folds
    ]
    return torch.stack([each for each in own if each is not None]) if own[0] is not None else None


def _backend(problem: Problem, library: Library | None) -> str:
    """Return what solves the problem, by name."""
    if isinstance(problem.kind, Quantile):
        return INTERIOR
    return SIDE_BY_SIDE if library is None else ONE_BY_ONE


def _library(problem: Problem) -> tuple[Library | None, tuple[str, ...]]:
    """Return the kernels if the problem can be solved by them, and what the job should warn of."""
    if problem.device.type != "cpu" or problem.engine.backend == SIDE_BY_SIDE:
        return None, ()
    if problem.by_input.bounds is not None or isinstance(problem.kind, Quantile):  # not in linear.c
        return None, ()
    library = load(problem.dtype)
    if isinstance(library, Library):
        return library, ()
    return None, (f"training runs without compiled kernels, which is slower: {library}",)


def _certified(roll: R) -> R:
    """Return the roll; in it stands what certifies the members, none of which has left."""
    members = len(roll.epochs)
    roll.converged = np.zeros(members, dtype=bool)
    roll.residuals = np.full(members, np.nan)
    roll.separated = np.zeros(members, dtype=np.int64)
    return roll


def _unbounded(fit: LinearFit, member: Configuration) -> bool:
    """Return whether nothing but the data can bound the member's weights."""
    part = PENALTIES[member.penalty].components(member.strength, member.l1_ratio)
    rising = (part.l1 > 0 and not part.concave) or part.half + part.adaptive > 0  # without an end
    held = rising or part.l2 > 0 or part.group > 0 or member.label_smoothing > 0
    return of_classes(fit.kind) and not held


@dataclass(frozen=True)
class Solutions:
    """Members side by side on all folds, with the parameters (F, P, columns) found so far."""

    folds: tuple[int, ...]
    members: tuple[int, ...]
    weights: Tensor
    buffers: Buffers = field(default_factory=dict[str, Tensor])


class Solving:
    """Members that are solved side by side, on all folds, until each has left."""

    def __init__(
        self,
        solver: FullBatch,
        members: Sequence[Configuration],
        state: PartState,
        roll: Roll,
    ) -> None:
        """members: the configurations of the whole population."""
        self.solver, self.roll, self.epoch = solver, roll, state.epoch
        self._everyone = state.members
        own = [members[member] for member in state.members]
        self._sparse = np.array([PENALTIES[each.penalty].sparse for each in members])
        self._unbounded = np.array([_unbounded(solver.fit, each) for each in members])
        self._rounds = solver.rounds(own)
        if state.epoch:
            self._rounds.take(state.tensors)

    @property
    def members(self) -> tuple[int, ...]:
        """The members that have not left, in order."""
        return tuple(member for member in self._everyone if self.roll.in_training[member])

    def train_epoch(self) -> None:
        """Take one round; members that diverge, converge or have had their epochs leave."""
        self.epoch += 1
        self._rounds.advance()
        members = self.members
        self.roll.judge_epoch(self._solutions(members), self.epoch)()
        failed = self._rounds.failed[self._places(members)].cpu()
        self.roll.note_health(members, ~failed, self.epoch)
        converged = self._rounds.converged.all(0).cpu().numpy()
        members, trained = self.members, self.roll.leaving(self.epoch)
        arrived = converged[self._places(members)] | trained[list(members)]
        leaving = tuple(member for member, ends in zip(members, arrived, strict=True) if ends)
        if leaving:
            self._leave(leaving, converged[self._places(leaving)])

    def catch_up(self) -> None:
        """Do nothing: the roll knows all of the round."""

    def compact(self) -> None:
        """Do nothing: the solver has dropped those that left."""

    def frozen(self, decided: int) -> PartState:
        """Return a copy that another process can go on from."""
        members = self.members
        tensors = self._rounds.state(self._places(members)) if members else {}
        return PartState(members, self.epoch, decided, tensors=tensors)

    def _leave(self, leaving: tuple[int, ...], converged: np.ndarray) -> None:
        """Note what these members end with; converged (P,) of them."""
        solutions = self._solutions(leaving)
        self.roll.end_as_judged(solutions, self.epoch)
        self.roll.note_models(solutions)
        assert self.roll.converged is not None
        assert self.roll.residuals is not None
        assert self.roll.separated is not None
        healthy = self.roll.alive[list(leaving)]
        members, converged = np.array(leaving)[healthy], converged[healthy]
        self.roll.converged[members] = converged
        places = self._places(members.tolist())
        self.roll.residuals[members] = self._rounds.residuals[:, places].amax(0).cpu().numpy()
        self.roll.separated[members] = [self._separated(member) for member in members.tolist()]
        self.roll.settled[members] = converged | ~self._sparse[members]
        self.roll.note_end(members, self.epoch, self.epoch)

    def _separated(self, member: int) -> int:
        """Return on how many folds nothing bounds the member's weights."""
        if not self._unbounded[member]:
            return 0
        (place,) = self._places([member])
        found = zip(
            self.solver.fit.folds,
            self._rounds.weights[:, place],
            self._rounds.intercepts[:, place],
            strict=True,
        )
        return sum(tells_apart(*fold) for fold in found)

    def _places(self, members: Sequence[int]) -> list[int]:
        """Return the members' places in the solver."""
        place = {member: place for place, member in enumerate(self._everyone)}
        return [place[member] for member in members]

    def _solutions(self, members: tuple[int, ...]) -> Solutions:
        """Return these members with what is found so far."""
        layout, places = self.solver.layout, self._places(members)
        weights, intercepts = self._rounds.weights[:, places], self._rounds.intercepts[:, places]
        rows = weights.new_zeros(*weights.shape[:2], layout.columns)
        views = layout.views(rows)
        views["weight"].copy_(weights)
        views["bias"].copy_(intercepts)
        return Solutions(tuple(range(len(rows))), members, rows)
