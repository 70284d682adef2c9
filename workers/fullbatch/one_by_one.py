"""Linear models solved one after the other, by whatever solves a fold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit
from workers.fullbatch.terms import Strengths
from workers.headway import span, tell
from workers.heeding import heed
from workers.penalties.components import Components

FOUND = ("weights", "intercepts", "residuals", "converged")


@dataclass(frozen=True)
class Solved:
    """A member on one fold: weights (K, d), intercepts (K,), for the inputs as they were given.

    residual: the largest entry of the smallest subgradient, in units of the rows' own.
    """

    weights: Tensor
    intercepts: Tensor
    residual: float
    converged: bool


class FoldSolver(Protocol):
    """What solves members on one fold, one after the other."""

    def solve(self, member: Wanted) -> Solved | None:
        """Solve the member; None where that can't be done one by one."""
        ...

    def work(self, members: Sequence[Wanted]) -> list[int]:
        """Return how many solutions each member takes."""
        ...


class OneByOne:
    """P members on F folds, all solved in the first round; nothing happens in those after it.

    A member is bitwise the same in any company.
    """

    def __init__(self, fit: LinearFit, strengths: Strengths, folds: Sequence[FoldSolver]) -> None:
        self._fit, self._strengths, self._folds = fit, strengths, folds
        members = len(strengths.l1)
        shape = (len(fit.folds), members)
        features = fit.folds[0].inputs.shape[1]
        kept: dict[str, Any] = {"dtype": fit.dtype, "device": fit.device}
        self.weights = torch.zeros(*shape, fit.outputs, features, **kept)
        self.intercepts = torch.zeros(*shape, fit.outputs, **kept)
        self.residuals = torch.full(shape, math.inf, **kept)
        self.converged = torch.zeros(shape, dtype=torch.bool, device=fit.device)
        self._begun = False

    @property
    def active(self) -> Tensor:
        """True for members (P,) that are still on their way."""
        return ~self.converged.all(0) & ~self.failed

    @property
    def failed(self) -> Tensor:
        """True for members (P,) whose weights or gradients are not finite."""
        return self.residuals.isnan().any(0)

    def advance(self) -> None:
        """Solve all members, the first time."""
        if not self._begun:
            self._begun = True
            self._solve()

    def state(self, members: Sequence[int]) -> dict[str, Tensor]:
        """Return copies of where these members are, by name."""
        return {name: getattr(self, name)[:, list(members)].cpu() for name in FOUND}

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Go on where others, as many, were."""
        self._begun = True
        for name in FOUND:
            getattr(self, name).copy_(state[name])

    def _solve(self) -> None:
        finite = torch.stack(list(vars(self._strengths).values())).isfinite().all(0)
        self.residuals[:, ~finite] = math.nan
        members = wanted(self._strengths)
        work = self._folds[0].work(members)  # about that of each fold
        done, total = 0, len(self._folds) * sum(work)
        for number, fold in enumerate(self._folds):
            solved: dict[int, Solved] = {}
            for place in finite.nonzero().flatten().tolist():
                heed()
                ahead = done + work[place]
                with span(done / total, ahead / total):
                    found = fold.solve(members[place])
                if found is not None:
                    solved[place] = found
                    done = ahead
                    tell(done / total)
            self._note(number, solved)
        if self._fit.outputs > 1:
            self._centre()

    def _note(self, fold: int, solved: Mapping[int, Solved]) -> None:
        """Note what members, by their places, came to on a fold: at once, as each write costs."""
        if not solved:
            return
        places, found = list(solved), solved.values()
        self.weights[fold, places] = torch.stack([own.weights for own in found]).to(self.weights)
        intercepts = torch.stack([own.intercepts for own in found])
        self.intercepts[fold, places] = intercepts.to(self.weights)
        residuals = torch.tensor([own.residual for own in found], dtype=torch.float64)
        self.residuals[fold, places] = residuals.to(self.weights)
        converged = torch.tensor([own.converged for own in found], device=self._fit.device)
        self.converged[fold, places] = converged

    def _centre(self) -> None:
        """Let what no penalty holds add up to zero: of a softmax only differences mean anything."""
        if self._fit.penalize == "weights":
            self.intercepts = self.intercepts - self.intercepts.mean(-1, keepdim=True)
        own = self._strengths
        held = own.l1 + own.l2 + own.group + own.half + own.adaptive
        free = held == 0
        self.weights[:, free] -= self.weights[:, free].mean(-2, keepdim=True)
        if self._fit.factors is not None:
            unheld = self._fit.factors == 0
            of_all = self.weights[..., unheld]
            self.weights[..., unheld] = of_all - of_all.mean(-2, keepdim=True)


def wanted(strengths: Strengths) -> list[Wanted]:
    """Return the members that have these strengths."""
    names = [name for name in vars(strengths) if name != "label_smoothing"]
    columns = [getattr(strengths, name).tolist() for name in names]
    return [
        Wanted(Components(**dict(zip(names, own, strict=True))), smoothing)
        for *own, smoothing in zip(*columns, strengths.label_smoothing.tolist(), strict=True)
    ]
