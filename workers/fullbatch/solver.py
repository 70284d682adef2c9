"""`optimizer: "fista"`: populations of linear models, solved to the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ridgeway.jobs.plan import Engine
from ridgeway.spec.spec import JobSpec
from workers.backends import Dense, Models
from workers.data.prepare import Fold
from workers.fullbatch.fista import STEPS, Fista
from workers.fullbatch.rows import TrainingRows
from workers.fullbatch.terms import Strengths
from workers.minibatch.parts import PartState
from workers.models.building import ROWS_AT_ONCE, build_model
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters
from workers.objectives.losses import Kind, finite, kind_of, row_weights
from workers.optimizers.precision import dtype_of
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.judging import Judge, Scores
from workers.population.ledgers import Roll, fold_means
from workers.population.results import PopulationResult, TrainedModels
from workers.population.run import Run, Watch

MEMORY_FLOATS = 2**27  # 512 MiB of float32, which members solved at one time may take
COLUMN_FLOATS, ROW_FLOATS = 24, 8  # that a model's solution takes for each weight and each logit

OnEpoch = Callable[[int, int], None]


def train_convex(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    folds: Sequence[Fold],
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
    on_epoch: OnEpoch,
    watch: Watch,
) -> PopulationResult:
    """`train_population` by the full-batch solver: an epoch is one of its rounds.

    A member whose folds have all converged leaves, and its curve stays at its last value.
    """
    problem = Problem(spec, folds, outputs, seed, device, dtype)
    found = ScoredSolutions(problem, len(configurations))
    _solve(problem, configurations, found, on_epoch, watch)
    values = found.fold_curves[:, :, -1]
    errors = found.standard_errors
    if len(folds) > 1:
        errors = values.std(axis=1, ddof=1) / math.sqrt(len(folds))
    return PopulationResult(
        **vars(_models(problem, configurations, found)),
        curves=fold_means(found.fold_curves),
        values=fold_means(values),
        fold_values=values,
        standard_errors=errors,
        epochs=spec.epochs,
        member_epochs=found.ended_at,
        updates=spec.epochs * STEPS,
    )


def refit_convex(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    fold: Fold,
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
    on_epoch: OnEpoch,
    watch: Watch,
) -> TrainedModels:
    """`refit_population` by the full-batch solver: bitwise train_convex's models."""
    problem = Problem(spec, [fold], outputs, seed, device, dtype)
    found = Solutions(problem, len(configurations))
    _solve(problem, configurations, found, on_epoch, watch)
    return _models(problem, configurations, found)


class Problem:
    """One job's linear model and folds on a device.

    together: members that fit into memory at one time.
    """

    def __init__(
        self,
        spec: JobSpec,
        folds: Sequence[Fold],
        outputs: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype | None,
    ) -> None:
        self.spec, self.outputs, self.seed, self.device = spec, outputs, seed, device
        self.engine = Engine(device=device.type, backend="fista", compiled=False)
        self.dtype = dtype or dtype_of(spec)
        self.kind: Kind = kind_of(spec.task, outputs)
        self.rows = [
            TrainingRows(
                fold.train_inputs, fold.train_targets, row_weights(spec, fold.train_targets)
            )
            for fold in folds
        ]
        self.features = folds[0].train_inputs.shape[1]
        model = build_model(spec.model, self.features, outputs).to(device, self.dtype)
        self.layout = Layout.of(describe_parameters(model, spec.penalize, spec.group_by))
        self.backend = Dense(model, self.layout, self.kind)
        self.judge = Judge(spec, self.kind, folds, seed, device, self.dtype)
        self.fold_rows = [len(each.targets) for each in self.rows]
        floats = COLUMN_FLOATS * (self.features + 1) + ROW_FLOATS * max(self.fold_rows)
        self.together = max(1, MEMORY_FLOATS // (len(self.rows) * outputs * floats))

    def logits(self, rows: Tensor) -> Tensor:
        """Of parameters (F, P, columns) for the validation rows: (F, P, outputs, m)."""
        blocks = self.judge.inputs.split(ROWS_AT_ONCE, dim=1)
        return torch.cat([self.backend.logits(Models(rows), block) for block in blocks], dim=-1)

    def parts(self, members: int) -> list[range]:
        """Members that fit into memory together, in order."""
        size = self.together
        return [range(start, min(start + size, members)) for start in range(0, members, size)]

    def solver(self, configurations: Sequence[Configuration]) -> Fista:
        """Members before their first round."""
        parts = [PENALTIES[c.penalty].components(c.strength, c.l1_ratio) for c in configurations]
        strengths = torch.tensor(
            [
                (part.l1, part.l2, part.group, own.label_smoothing)
                for part, own in zip(parts, configurations, strict=True)
            ],
            dtype=torch.float64,
        )
        return Fista(
            self.rows,
            self.kind,
            self.outputs,
            Strengths(*strengths.unbind(1)),
            group_by=self.spec.group_by,
            penalize=self.spec.penalize,
            dtype=self.dtype,
            device=self.device,
        )


class Solutions(Roll):
    """What is known of a population's members: converged (P,), weights (P, F, columns)."""

    def __init__(self, problem: Problem, members: int) -> None:
        shape = (members, len(problem.rows), problem.layout.columns)
        super().__init__(members, {"weights": torch.zeros(shape, dtype=problem.dtype)})
        self.problem = problem
        self.converged = np.zeros(members, dtype=bool)

    def judge_epoch(self, members: Sequence[int], rows: Tensor, epoch: int) -> Tensor:
        """Whether these members' parameters (F, P, columns) can be used (P,)."""
        return finite(self.problem.logits(rows)).all(0)

    def note_end(self, members: Sequence[int], rows: Tensor, converged: Tensor, epoch: int) -> None:
        """These members leave after this epoch, with these parameters (F, P, columns)."""
        self.ended_at[list(members)] = epoch
        self.converged[list(members)] = converged.cpu().numpy()
        self.states["weights"][list(members)] = rows.transpose(0, 1).cpu()


class ScoredSolutions(Solutions):
    """Curves too: fold_curves (P, F, E), NaN from divergence on; standard_errors (P,)."""

    def __init__(self, problem: Problem, members: int) -> None:
        super().__init__(problem, members)
        self.fold_curves = np.full((members, len(problem.rows), problem.spec.epochs), np.nan)
        self.standard_errors = np.full(members, np.nan)

    def judge_epoch(self, members: Sequence[int], rows: Tensor, epoch: int) -> Tensor:
        scores = self._scores(rows, with_errors=False)
        self.fold_curves[list(members), :, epoch - 1 :] = scores.values.numpy()[..., None]
        return scores.healthy

    def note_end(self, members: Sequence[int], rows: Tensor, converged: Tensor, epoch: int) -> None:
        super().note_end(members, rows, converged, epoch)
        scores = self._scores(rows, with_errors=True)
        self.standard_errors[list(members)] = scores.errors.numpy()

    def erase_unused(self) -> None:
        """A diverged member keeps its curve up to its last whole epoch too."""
        super().erase_unused()
        for member in np.flatnonzero(~self.alive):
            self.fold_curves[member, :, self.diverged_at[member] - 1 :] = np.nan

    def _scores(self, rows: Tensor, *, with_errors: bool) -> Scores:
        logits = self.problem.logits(rows)
        return self.problem.judge.scores_of(logits, range(len(rows)), with_errors=with_errors)


class Solving:
    """Members that are solved side by side, on all folds, until each has left."""

    def __init__(
        self,
        problem: Problem,
        configurations: Sequence[Configuration],
        state: PartState,
        found: Solutions,
    ) -> None:
        """configurations: of the whole population."""
        self.problem, self.found, self.epoch = problem, found, state.epoch
        self._everyone = state.members
        self._solver = problem.solver([configurations[member] for member in state.members])
        if state.epoch:
            self._solver.take(state.tensors)

    @property
    def members(self) -> tuple[int, ...]:
        """Those that have not left, in order."""
        return tuple(member for member in self._everyone if self.found.in_training[member])

    def train_epoch(self) -> None:
        """One round; members that diverge or converge leave, and all do after the last epoch."""
        self.epoch += 1
        members, solver = self.members, self._solver
        solver.advance()
        healthy = self.found.judge_epoch(members, self._rows(members), self.epoch)
        failed = solver.failed[self._places(members)].cpu()
        self.found.note_diverged(members, healthy.cpu() & ~failed, self.epoch)
        converged = solver.converged.all(0)
        last = self.epoch == self.problem.spec.epochs
        arrived = (converged | last)[self._places(self.members)].tolist()
        leaving = [member for member, ends in zip(self.members, arrived, strict=True) if ends]
        if leaving:
            rows, places = self._rows(leaving), self._places(leaving)
            self.found.note_end(leaving, rows, converged[places], self.epoch)

    def compact(self) -> None:
        """The solver has dropped those that left."""

    def frozen(self, decided: int) -> PartState:
        """A copy that another process can go on from."""
        members = self.members
        tensors = self._solver.state(self._places(members)) if members else {}
        return PartState(members, self.epoch, decided, tensors=tensors)

    def _places(self, members: Sequence[int]) -> list[int]:
        """The members' places in the solver."""
        place = {member: place for place, member in enumerate(self._everyone)}
        return [place[member] for member in members]

    def _rows(self, members: Sequence[int]) -> Tensor:
        """Parameters (F, P, columns) of these members as found so far."""
        layout, places = self.problem.layout, self._places(members)
        weights, intercepts = self._solver.weights[:, places], self._solver.intercepts[:, places]
        rows = weights.new_zeros(*weights.shape[:2], layout.columns)
        views = layout.views(rows)
        views["weight"].copy_(weights)
        views["bias"].copy_(intercepts)
        return rows


def _solve(
    problem: Problem,
    configurations: Sequence[Configuration],
    found: Solutions,
    on_epoch: OnEpoch,
    watch: Watch,
) -> None:
    def begin(state: PartState) -> Solving:
        return Solving(problem, configurations, state, found)

    Run(problem, begin, found, on_epoch, watch).finish()


def _models(
    problem: Problem, configurations: Sequence[Configuration], found: Solutions
) -> TrainedModels:
    weights, alive = found.states["weights"], found.alive
    sparse = np.array([PENALTIES[own.penalty].sparse for own in configurations])
    return TrainedModels(
        nonzero_weights=problem.layout.nonzero(weights).numpy(),
        weights=problem.layout.weights,
        diverged_at=found.diverged_at,
        converged=found.converged,
        settled=found.converged | (~sparse & alive),
        notes=tuple(found.notes),
        states=problem.layout.views(weights),
    )
