"""The roll of a population in training: all that is known of its members."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ridgeway.spec.directions import as_loss
from workers.models.layout import Layout
from workers.population.judging import Company, Judge, Scores
from workers.population.watch import Rung


class Roll:
    """Members that have left training, when, and with which models.

    epochs (P,): how long each may train. ended_at, diverged_at (P,): the epoch after which a member
    left, in which it diverged; 0 while it has not. value_epochs (P,): the epoch whose weights it
    ended with, before settling. settled (P,).
    Where a solver goes to the optimum: converged (P,), by residuals (P,), the largest over folds of
    what is left of the gradient, in its solver's unit; separated (P,): folds whose classes the
    unpenalised model tells apart without an error, so that no optimum is finite.
    weights (P, F, columns) and buffers (P, F, ...) by name: the models that members ended with.
    """

    def __init__(
        self,
        judge: Judge,
        layout: Layout,
        buffers: Mapping[str, Tensor],
        epochs: Sequence[int],
    ) -> None:
        """buffers (F, ...): those of fresh models."""
        problem, members = judge.problem, len(epochs)
        self.judge, self.layout = judge, layout
        self.notes: list[str] = []  # what the job should warn of, beside the solver's
        self.epochs = np.array(epochs)
        self.diverged_at = np.zeros(members, dtype=np.int64)
        self.ended_at = np.zeros(members, dtype=np.int64)
        self.value_epochs = np.zeros(members, dtype=np.int64)
        self.settled = np.ones(members, dtype=bool)
        self.converged: np.ndarray | None = None
        self.residuals: np.ndarray | None = None
        self.separated: np.ndarray | None = None
        shape = (members, len(problem.folds), layout.columns)
        self.weights = torch.zeros(shape, dtype=problem.dtype)
        self.buffers = {
            name: value.unsqueeze(0).repeat(members, *[1] * value.dim()).cpu()
            for name, value in buffers.items()
        }

    @property
    def alive(self) -> np.ndarray:
        """True for members that have not diverged: (P,)."""
        return self.diverged_at == 0

    @property
    def whole(self) -> np.ndarray:
        """True for members that went through their training: (P,)."""
        return self.alive

    @property
    def in_training(self) -> np.ndarray:
        """True for members that have not left: (P,)."""
        return self.ended_at == 0

    @property
    def keeps_best(self) -> bool:
        """True where a member may end with weights of an earlier epoch than its last."""
        return False

    # --- who ends when ------------------------------------------------------------------------

    def counted_epochs(self, epoch: int) -> np.ndarray:
        """Return the epoch whose weights each member would end with if it left now: (P,)."""
        return np.full(len(self.epochs), epoch)

    def leaving(self, epoch: int) -> np.ndarray:
        """Return which members have trained long enough: (P,)."""
        return self.epochs <= epoch

    def prune(
        self, members: Sequence[int], epoch: int, ask: Callable[[Rung], Collection[int]]
    ) -> None:
        """Ask at a rung which of the members to end. Nobody is asked about unscored ones."""

    # --- what members reach -------------------------------------------------------------------

    def judge_epoch(self, company: Company, epoch: int) -> Callable[[], None]:
        """Score the members after an epoch; return what notes the scores once they have arrived.

        Unscored ones are told by their training alone.
        """
        return lambda: None

    def judge_end(self, company: Company, epoch: int) -> None:
        """Judge the weights, of this epoch, that the members end with."""
        self.note_health(company.members, self.judge.finite(company), epoch)

    def end_as_judged(self, company: Company, epoch: int) -> None:
        """Let the members end with what `judge_epoch` found of the same weights."""
        self.judge_end(company, epoch)

    def note_health(self, members: Sequence[int], healthy: Tensor, epoch: int) -> None:
        """Let those of the members leave that are not healthy (P,): they diverged in this epoch."""
        for member, well in zip(members, healthy.tolist(), strict=True):
            if not well and self.diverged_at[member] == 0:
                self.diverged_at[member] = self.ended_at[member] = epoch

    def note_models(self, company: Company) -> None:
        """Keep the models that the company's members end with."""
        index = (torch.tensor(company.members)[:, None], torch.tensor(company.folds)[None])
        self.weights[index] = company.weights.transpose(0, 1).cpu()
        for name, kept in self.buffers.items():
            kept[index] = company.buffers[name].transpose(0, 1).cpu()

    def note_end(self, members: Iterable[int], epoch: int, value_epoch: int) -> None:
        """Let these members leave after an epoch, with the weights of the other one."""
        self.ended_at[list(members)] = epoch
        self.value_epochs[list(members)] = value_epoch

    def erase_unused(self) -> None:
        """Forget all of a diverged member but its epoch."""
        self._erase(self.diverged_at > 0)

    def _erase(self, gone: np.ndarray) -> None:
        for value in (self.weights, *self.buffers.values()):
            value[torch.from_numpy(gone)] = 0
        self.settled[gone] = False

    # --- between two processes ----------------------------------------------------------------

    def arrays(self) -> dict[str, Tensor]:
        """Return copies of all that is known, by name; of models those of members that left."""
        known = {name: torch.from_numpy(value.copy()) for name, value in self._arrays().items()}
        ended = torch.from_numpy(~self.in_training)
        return known | {name: value[ended] for name, value in self._models().items()}

    def take(self, arrays: Mapping[str, Tensor]) -> None:
        """Know what another roll's `arrays` say."""
        for name, value in self._arrays().items():
            value[...] = arrays[name].numpy()
        ended = torch.from_numpy(~self.in_training)
        for name, value in self._models().items():
            value[ended] = arrays[name]

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def _models(self) -> dict[str, Tensor]:
        buffers = {f"buffers.{name}": value for name, value in self.buffers.items()}
        return {"weights": self.weights, **buffers}


class ScoredRoll(Roll):
    """Curves, values and standard errors too.

    fold_curves (P, F, E) as training went; fold_values (P, F) of what members ended with; pruned_at
    (P,): the epoch, 0 for members that were not pruned. beside_curves (P, F, E): on the rows beside
    them, None where the problem has none.
    """

    def __init__(
        self, judge: Judge, layout: Layout, buffers: Mapping[str, Tensor], members: int
    ) -> None:
        spec, folds = judge.problem.spec, len(judge.problem.folds)
        super().__init__(judge, layout, buffers, [spec.epochs] * members)
        self.patience = spec.early_stopping.patience if spec.early_stopping else None
        self.pruned_at = np.zeros(members, dtype=np.int64)
        self.fold_curves = np.full((members, folds, spec.epochs), np.nan)
        self.fold_values = np.full((members, folds), np.nan)
        self.standard_errors = np.full(members, np.nan)
        self.beside_curves: np.ndarray | None = None
        if judge.beside is not None:
            self.beside_curves = np.full_like(self.fold_curves, np.nan)

    @property
    def keeps_best(self) -> bool:
        return self.patience is not None

    @property
    def whole(self) -> np.ndarray:
        return self.alive & (self.pruned_at == 0)

    # --- who ends when ------------------------------------------------------------------------

    def counted_epochs(self, epoch: int) -> np.ndarray:
        if not self.keeps_best:
            return super().counted_epochs(epoch)
        return best_epochs(self.curves(epoch), self.judge.problem.spec.maximise)

    def leaving(self, epoch: int) -> np.ndarray:
        done = super().leaving(epoch)
        if self.patience is None:
            return done
        return done | (epoch - self.counted_epochs(epoch) >= self.patience)

    def curves(self, epochs: int) -> np.ndarray:
        """Return the means over folds after each of the first epochs: (P, epochs)."""
        return fold_means(self.fold_curves[:, :, :epochs])

    def prune(
        self, members: Sequence[int], epoch: int, ask: Callable[[Rung], Collection[int]]
    ) -> None:
        curves = self.curves(epoch)
        rung = Rung(epoch, {member: curves[member].tolist() for member in members})
        pruned = list(ask(rung))
        self.pruned_at[pruned] = epoch
        self.fold_values[pruned] = self.fold_curves[pruned, :, epoch - 1]
        self.note_end(pruned, epoch, epoch)

    # --- what members reach -------------------------------------------------------------------

    def judge_epoch(self, company: Company, epoch: int) -> Callable[[], None]:
        members = company.members
        arriving = self.judge.arriving(company, with_errors=False)
        note_beside = self._judge_beside(company, epoch)
        place = np.ix_(members, company.folds, [epoch - 1])

        def note() -> None:
            scores = Scores(*arriving.tensors())
            self.fold_curves[place] = scores.values.numpy()[..., None]
            note_beside()
            self.note_health(members, scores.healthy, epoch)

        return note

    def judge_end(self, company: Company, epoch: int) -> None:
        scores = self.judge.scores(company, with_errors=True)
        self.fold_values[np.ix_(company.members, company.folds)] = scores.values.numpy()
        self.standard_errors[list(company.members)] = scores.errors.numpy()
        self._judge_beside(company, epoch)()
        self.note_health(company.members, scores.healthy, epoch)

    def end_as_judged(self, company: Company, epoch: int) -> None:
        if self.fold_values.shape[1] == 1:  # of a holdout the standard errors are still to come
            return self.judge_end(company, epoch)
        place = np.ix_(company.members, company.folds)
        self.fold_values[place] = self.fold_curves[..., epoch - 1][place]

    def _judge_beside(self, company: Company, epoch: int) -> Callable[[], None]:
        """Score the members on the rows beside; return what notes the scores.

        Of an epoch that is settled, the settled ones are scored.
        """
        judge, curves = self.judge.beside, self.beside_curves
        if judge is None or curves is None:
            return lambda: None
        arriving = judge.arriving(company, with_errors=False)
        place = np.ix_(company.members, company.folds, [epoch - 1])

        def note() -> None:
            curves[place] = Scores(*arriving.tensors()).values.numpy()[..., None]

        return note

    def erase_unused(self) -> None:
        """Forget all of a diverged member but its curve up to its last whole epoch.

        A pruned member's models are forgotten, its curve and values stay.
        """
        super().erase_unused()
        self._erase(self.pruned_at > 0)
        for member in np.flatnonzero(~self.alive):
            self.fold_curves[member, :, self.diverged_at[member] - 1 :] = np.nan
            if self.beside_curves is not None:
                self.beside_curves[member, :, self.diverged_at[member] - 1 :] = np.nan
            self.fold_values[member] = self.standard_errors[member] = np.nan


def fold_means(values: np.ndarray) -> np.ndarray:
    """Return means (P, ...) over the folds of (P, F, ...), bitwise the same whatever the others."""
    return sum(values.swapaxes(0, 1)) / values.shape[1]


def best_epochs(curves: np.ndarray, maximise: bool) -> np.ndarray:
    """Return the epoch, counted from 1, of the best point of each curve (P, E): (P,).

    The first of equals; NaN is worse than any number, and 1 where there is nothing else.
    """
    losses = as_loss(curves, maximise)
    return np.where(np.isnan(losses), np.inf, losses).argmin(axis=1) + 1
