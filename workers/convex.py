"""`optimizer: "fista"`: populations of linear models, solved to the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ridgeway.spec import JobSpec
from workers.backends.dense import Dense
from workers.configurations import Configuration
from workers.datasets import Fold
from workers.fista import STEPS, Fista
from workers.fullbatch import TrainingRows
from workers.judging import Judge, Scores
from workers.layout import Layout
from workers.ledgers import fold_means
from workers.losses import Kind, finite, kind_of, row_weights
from workers.models import ROWS_AT_ONCE, build_model, describe_parameters
from workers.penalties import PENALTIES
from workers.precision import dtype_of
from workers.results import PopulationResult, TrainedModels
from workers.terms import Strengths

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
) -> PopulationResult:
    """`train_population` by the full-batch solver: an epoch is one of its rounds.

    A member whose folds have all converged leaves, and its curve stays at its last value; where
    all have left, on_epoch is told the last epoch.
    """
    problem = Problem(spec, folds, outputs, seed, device, dtype)
    solutions = [ScoredSolution(problem, own) for own in problem.parts(configurations)]
    _solve(solutions, on_epoch)
    curves = np.concatenate([solution.fold_curves for solution in solutions])
    values = curves[:, :, -1]
    errors = np.concatenate([solution.standard_errors for solution in solutions])
    if len(folds) > 1:
        errors = values.std(axis=1, ddof=1) / math.sqrt(len(folds))
    return PopulationResult(
        **vars(_models(problem, solutions)),
        curves=fold_means(curves),
        values=fold_means(values),
        fold_values=values,
        standard_errors=errors,
        epochs=spec.epochs,
        member_epochs=np.concatenate([solution.epochs for solution in solutions]),
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
) -> TrainedModels:
    """`refit_population` by the full-batch solver: bitwise train_convex's models."""
    problem = Problem(spec, [fold], outputs, seed, device, dtype)
    solutions = [Solution(problem, own) for own in problem.parts(configurations)]
    _solve(solutions, on_epoch)
    return _models(problem, solutions)


class Problem:
    """One job's linear model and folds on a device."""

    def __init__(
        self,
        spec: JobSpec,
        folds: Sequence[Fold],
        outputs: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype | None,
    ) -> None:
        self.spec, self.outputs, self.device = spec, outputs, device
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

    def logits(self, rows: Tensor) -> Tensor:
        """Of parameters (F, P, columns) for the validation rows: (F, P, outputs, m)."""
        blocks = self.judge.inputs.split(ROWS_AT_ONCE, dim=1)
        return torch.cat([self.backend.logits(rows, {}, block) for block in blocks], dim=-1)

    def parts(self, configurations: Sequence[Configuration]) -> list[Sequence[Configuration]]:
        """Configurations that fit into memory together, in order."""
        rows = max(len(each.targets) for each in self.rows)
        floats = COLUMN_FLOATS * (self.features + 1) + ROW_FLOATS * rows
        size = max(1, MEMORY_FLOATS // (len(self.rows) * self.outputs * floats))
        starts = range(0, len(configurations), size)
        return [configurations[start : start + size] for start in starts]

    def solver(self, configurations: Sequence[Configuration]) -> Fista:
        """Members before their first round."""
        parts = [PENALTIES[c.penalty].parts(c.strength, c.l1_ratio) for c in configurations]
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


class Solution:
    """Some members of a job, solved on all folds.

    epochs (P,) that each took; diverged_at (P,), 0 where it did not; converged (P,); and the
    parameters in the end, weights (P, F, columns), zeros where a member diverged.
    """

    def __init__(self, problem: Problem, configurations: Sequence[Configuration]) -> None:
        self.problem, self.configurations = problem, configurations
        members = len(configurations)
        self.epochs = np.zeros(members, dtype=np.int64)
        self.diverged_at = np.zeros(members, dtype=np.int64)
        self.converged = np.zeros(members, dtype=bool)
        self.weights = torch.empty(0)

    def solve(self, on_epoch: OnEpoch) -> None:
        """Until every member has left or the last epoch is over; then on_epoch is told the last."""
        solver, most = self.problem.solver(self.configurations), self.problem.spec.epochs
        everyone = torch.arange(len(self.epochs))
        for epoch in range(1, most + 1):
            going = solver.active.cpu().nonzero().flatten()
            solver.advance()
            self.epochs[going] = epoch
            self._note_health(~solver.failed, everyone, epoch)
            healthy = self.judge_epoch(going, self._rows(solver, going), epoch)
            self._note_health(healthy, going, epoch)
            if not solver.active.any():
                break
            if epoch < most:
                on_epoch(epoch, most)
        self._end(solver, self._rows(solver, everyone))
        on_epoch(most, most)

    def judge_epoch(self, members: Tensor, rows: Tensor, epoch: int) -> Tensor:
        """Whether these members' parameters (F, P, columns) can be used (P,)."""
        return finite(self.problem.logits(rows)).all(0)

    def judge_end(self, rows: Tensor) -> None:
        """What all members end with, rows (F, P, columns)."""

    def _rows(self, solver: Fista, members: Tensor) -> Tensor:
        """Parameters of these members as found so far."""
        layout, members = self.problem.layout, members.to(solver.weights.device)
        weights, intercepts = solver.weights[:, members], solver.intercepts[:, members]
        rows = weights.new_zeros(*weights.shape[:2], layout.columns)
        views = layout.views(rows)
        views["weight"].copy_(weights)
        views["bias"].copy_(intercepts)
        return rows

    def _note_health(self, healthy: Tensor, members: Tensor, epoch: int) -> None:
        sick = members[~healthy.cpu()].numpy()
        self.diverged_at[sick[self.diverged_at[sick] == 0]] = epoch

    def _end(self, solver: Fista, rows: Tensor) -> None:
        self.judge_end(rows)
        alive = self.diverged_at == 0
        self.converged = solver.converged.all(0).cpu().numpy() & alive
        self.weights = rows.transpose(0, 1).cpu()
        self.weights[torch.from_numpy(~alive)] = 0


class ScoredSolution(Solution):
    """Curves too: fold_curves (P, F, E), NaN from divergence on; standard_errors (P,)."""

    def __init__(self, problem: Problem, configurations: Sequence[Configuration]) -> None:
        super().__init__(problem, configurations)
        shape = (len(configurations), len(problem.rows), problem.spec.epochs)
        self.fold_curves = np.full(shape, np.nan)
        self.standard_errors = np.full(len(configurations), np.nan)

    def judge_epoch(self, members: Tensor, rows: Tensor, epoch: int) -> Tensor:
        scores = self._scores(rows, with_errors=False)
        self.fold_curves[members, :, epoch - 1 :] = scores.values.numpy()[..., None]
        return scores.healthy

    def judge_end(self, rows: Tensor) -> None:
        self.standard_errors[:] = self._scores(rows, with_errors=True).errors.numpy()
        for member in np.flatnonzero(self.diverged_at):
            self.fold_curves[member, :, self.diverged_at[member] - 1 :] = np.nan
            self.standard_errors[member] = np.nan

    def _scores(self, rows: Tensor, *, with_errors: bool) -> Scores:
        logits = self.problem.logits(rows)
        return self.problem.judge.scores_of(logits, range(len(rows)), with_errors=with_errors)


def _solve(solutions: Sequence[Solution], on_epoch: OnEpoch) -> None:
    """One after the other; on_epoch counts the epochs of all."""
    for number, solution in enumerate(solutions):

        def progress(epoch: int, epochs: int, before: int = number) -> None:
            on_epoch(before * epochs + epoch, len(solutions) * epochs)

        solution.solve(progress)


def _models(problem: Problem, solutions: Sequence[Solution]) -> TrainedModels:
    """Solutions laid end to end."""
    weights = torch.cat([solution.weights for solution in solutions])
    diverged_at = np.concatenate([solution.diverged_at for solution in solutions])
    converged = np.concatenate([solution.converged for solution in solutions])
    sparse = [PENALTIES[own.penalty].sparse for each in solutions for own in each.configurations]
    return TrainedModels(
        nonzero_weights=problem.layout.nonzero(weights).numpy(),
        weights=problem.layout.weights,
        diverged_at=diverged_at,
        converged=converged,
        settled=converged | (~np.array(sparse) & (diverged_at == 0)),
        notes=(),
        states=problem.layout.views(weights),
    )
