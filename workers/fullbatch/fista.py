"""Linear models of many strengths solved together, to the optimum.

Accelerated proximal steps find which weights are zero; Newton steps on the others, their
directions by conjugate gradients, finish. Beck & Teboulle (2009), restarts by O'Donoghue & Candès
(2015), the alternation with subspace steps by Byrd, Chin, Nocedal & Oztoprak (2016).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workers.fullbatch.rows import Curvature, Design, LinearFit, MeanLoss, mean_loss
from workers.fullbatch.single import best_moves, moved_singly
from workers.fullbatch.terms import Strengths, Terms
from workers.heeding import heed

CYCLES = 2  # in a round
ACCELERATED_STEPS = 25  # in a cycle
CONJUGATE_STEPS = 25  # in a cycle
LONGER, SHORTER = 1.25, 4.0  # factors of a step's length, after one that helps or does not
STEPS = CYCLES * (ACCELERATED_STEPS + CONJUGATE_STEPS)  # in a round
LENGTHS = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 64)  # tried of a Newton step
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}
ON_THE_WAY = ("point", "ahead", "momentum", "shorter")  # of iterates, what members need to go on
FOUND = ("_found", "residuals", "converged")  # the same of the solver
STACK = 16  # rows in a product of matrices, members times outputs, are a multiple of this


@dataclass(frozen=True)
class Iterates:
    """Members that have not arrived yet."""

    members: Tensor  # (P,) of the population; repeated ones pad a product of matrices
    terms: Terms
    point: Tensor  # (F, P, K, D)
    ahead: Tensor  # (F, P, K, D), the point extrapolated by momentum
    momentum: Tensor  # (F, P, 1, 1), t of Beck & Teboulle
    shorter: Tensor  # (F, P, 1, 1), how many times as short steps are as the loss at zero allows

    def keep(self, positions: Tensor) -> Iterates:
        """Return those at these positions alone."""
        return Iterates(
            self.members[positions],
            self.terms.keep(positions),
            self.point.index_select(1, positions),
            self.ahead.index_select(1, positions),
            self.momentum.index_select(1, positions),
            self.shorter.index_select(1, positions),
        )


class Fista:
    """P members on F folds, round by round. A member is bitwise the same in any company.

    A member leaves when all its folds have converged, or when one is no longer finite.
    """

    def __init__(
        self,
        fit: LinearFit,
        strengths: Strengths,
        tolerance: float | None = None,
        start: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """tolerance: of the residual, the largest entry of the smallest subgradient.

        start: weights (F, P, K, d) and intercepts (F, P, K); zeros by default. Members with a
        concave penalty start, or come first, to the optimum with its l1 term alone, and go downhill
        from there: which minimum they find depends on nothing else.
        """
        dtype, device = fit.dtype, fit.device
        self.tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
        self.design = Design.of(fit)
        self.loss: MeanLoss = mean_loss(self.design, fit.kind)
        self.outputs = fit.outputs
        members = len(strengths.l1)
        terms = Terms.of(fit, self.design, self.loss, strengths)
        shape = (len(fit.folds), members)
        self._found = torch.zeros_like(terms.linear)
        self.residuals = torch.full(shape, math.inf, dtype=dtype, device=device)
        self.converged = torch.zeros(shape, dtype=torch.bool, device=device)
        padded = self._padded(torch.arange(members, device=device))
        if start is not None:  # which is an optimum of the l1 term
            terms = replace(terms, bent=torch.ones_like(terms.bent))
        terms = terms.keep(padded)
        origin = torch.zeros_like(terms.linear)
        point = origin if start is None else self._point(*start, like=origin)[:, padded]
        one = torch.ones_like(origin[..., :1, :1])
        self._iterates = Iterates(padded, terms, point, point, one, one)
        self._unit = _gradient_unit(self.loss, terms, origin)[:, :members]

    def _point(self, weights: Tensor, intercepts: Tensor, like: Tensor) -> Tensor:
        """Return weights and intercepts side by side, for centred inputs."""
        shape = (*intercepts.shape, like.shape[-1])
        point = torch.zeros(shape, dtype=like.dtype, device=like.device)
        point[..., : self.design.features] = weights
        shift = (weights * self.design.means[:, None, None]).sum(-1)
        point[..., self.design.features] = intercepts + shift
        return point

    @property
    def weights(self) -> Tensor:
        """The inputs' weights (F, P, K, d), as found so far."""
        return self._found[..., : self.design.features]

    @property
    def intercepts(self) -> Tensor:
        """The intercepts (F, P, K), for the inputs as they were given.

        Of a softmax only their differences mean anything: where they are free they add up to zero.
        """
        shift = (self.weights * self.design.means[:, None, None]).sum(-1)
        intercepts = self._found[..., self.design.features] - shift
        if self.design.centred and self.outputs > 1:
            intercepts = intercepts - intercepts.mean(-1, keepdim=True)
        return intercepts

    @property
    def active(self) -> Tensor:
        """True for members (P,) that are still on their way."""
        return ~self.converged.all(0) & ~self.failed

    @property
    def failed(self) -> Tensor:
        """True for members (P,) whose weights or gradients are not finite."""
        return self.residuals.isnan().any(0)

    def state(self, members: Sequence[int]) -> dict[str, Tensor]:
        """Return copies of where these active members are, (F, P, ...) by name, on the host."""
        iterates = self._iterates
        first = [int((iterates.members == member).nonzero()[0]) for member in members]
        own = {name: getattr(iterates, name)[:, first].cpu() for name in ON_THE_WAY}
        own["bent"] = iterates.terms.bent[:, first].cpu()
        return own | {name: getattr(self, name)[:, list(members)].cpu() for name in FOUND}

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Go on where others, as many, were."""
        for name in FOUND:
            getattr(self, name).copy_(state[name])
        members = self._iterates.members
        own = {name: state[name].to(members.device)[:, members] for name in ON_THE_WAY}
        bent = state["bent"].to(members.device)[:, members]
        terms = replace(self._iterates.terms, bent=bent)
        self._iterates = replace(self._iterates, terms=terms, **own)

    def advance(self) -> None:
        """Take one round: about 100 full-batch steps of every active member."""
        for _ in range(CYCLES):
            if not len(self._iterates.members):
                return
            iterates = self._accelerate(self._iterates)
            iterates = self._jump(iterates)
            if iterates.terms.halved:
                iterates = self._move_singly(iterates)
            self._note(iterates)

    def _accelerate(self, iterates: Iterates) -> Iterates:
        """Take proximal gradient steps with momentum, begun anew where it points uphill."""
        if not self.loss.bounded:
            return self._descend(iterates)
        point, ahead, momentum = iterates.point, iterates.ahead, iterates.momentum
        steepness, bending = self.loss.steepness, iterates.terms.bending
        for _ in range(ACCELERATED_STEPS):
            heed()
            gradient = self.loss.gradient(ahead) + iterates.terms.linear
            nearer = iterates.terms.prox(ahead - gradient / steepness, steepness)
            uphill = _dot((ahead - nearer) * steepness, nearer - point) > 0
            momentum = torch.where(uphill, 1, momentum)
            following = (1 + (1 + 4 * momentum * momentum).sqrt()) / 2
            # Momentum may rise, which ends well where the objective is convex.
            push = torch.where(uphill | bending, 0, (momentum - 1) / following)
            ahead = nearer + push * (nearer - point)
            point, momentum = nearer, following
        return replace(iterates, point=point, ahead=ahead, momentum=momentum)

    def _descend(self, iterates: Iterates) -> Iterates:
        """Take proximal gradient steps that lower the objective, where the loss has no bound.

        A step that would raise it, by more than rounding, is not taken. If momentum led there, it
        is lost; if not, this member's steps were too long. Without momentum members would creep
        along directions in which the loss is flat, such as those of all levels of a category.
        """
        point, ahead, momentum = iterates.point, iterates.ahead, iterates.momentum
        terms, shorter, steepness = iterates.terms, iterates.shorter, self.loss.steepness
        least = self._value(terms, point)
        for _ in range(ACCELERATED_STEPS):
            heed()
            own = shorter * steepness
            rounding = 4 * torch.finfo(least.dtype).eps * least.abs()
            nearer = terms.prox(ahead - (self.loss.gradient(ahead) + terms.linear) / own, own)
            reached = self._value(terms, nearer)
            lower, plain = reached <= least + rounding, momentum == 1
            onwards = lower & (_dot((ahead - nearer) * own, nearer - point) <= 0) & ~terms.bending
            following = torch.where(onwards, (1 + (1 + 4 * momentum * momentum).sqrt()) / 2, 1)
            push = torch.where(onwards, (momentum - 1) / following, 0)
            step = torch.where(lower, nearer - point, 0)
            point, least = torch.where(lower, nearer, point), torch.fmin(least, reached)
            ahead, momentum = point + push * step, following
            changed = torch.where(lower, shorter / LONGER, shorter * SHORTER)
            shorter = torch.where(plain, changed, shorter)
        return replace(iterates, point=point, ahead=ahead, momentum=momentum, shorter=shorter)

    def _jump(self, iterates: Iterates) -> Iterates:
        """Take a Newton step on the weights that are not zero, as far as it helps."""
        point, terms = iterates.point, iterates.terms
        slope = terms.slope(self.loss.gradient(point), point)
        free = terms.free(point)
        of_loss, of_penalty = self.loss.curvature(point), terms.bend(point)

        def curvature(directions: Tensor) -> Tensor:
            return torch.where(free, of_loss(directions) + of_penalty(directions), 0)

        step = _conjugate_gradients(curvature, torch.where(free, -slope, 0), terms.bending)
        moved, better = self._line_search(iterates, step, slope)
        return replace(
            iterates,
            point=torch.where(better, moved, point),
            ahead=torch.where(better, moved, iterates.ahead),
            momentum=torch.where(better, 1, iterates.momentum),
        )

    def _move_singly(self, iterates: Iterates) -> Iterates:
        """Let single weights become zero, or not, where that is better by far, one by one."""
        point, moved = moved_singly(self.loss, iterates.terms, iterates.point)
        return replace(
            iterates,
            point=point,
            ahead=torch.where(moved, point, iterates.ahead),
            momentum=torch.where(moved, 1, iterates.momentum),
        )

    def _line_search(
        self, iterates: Iterates, step: Tensor, slope: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the best of some lengths of a step (F, P, K, D), and where any helps (F, P, 1, 1).

        Near the optimum, where rounding hides what is gained, the whole step counts if it
        halves the residual and raises the objective by no more than rounding.
        """
        terms, point = iterates.terms, iterates.point
        value = self._value(terms, point)
        rounding = 4 * torch.finfo(value.dtype).eps * value.abs()
        best = value - rounding
        chosen, better = point, torch.zeros_like(best, dtype=torch.bool)
        whole = terms.within(point + step, point)
        for length in LENGTHS:
            heed()
            moved = whole if length == 1 else terms.within(point + length * step, point)
            reached = self._value(terms, moved)
            lower = reached < best
            best = torch.where(lower, reached, best)
            chosen = torch.where(lower, moved, chosen)
            better = better | lower
        residual = terms.slope(self.loss.gradient(whole), whole)
        halved = _largest(residual) < 0.5 * _largest(slope)
        halved = halved & (self._value(terms, whole) <= value + rounding)
        return torch.where(halved, whole, chosen), better | halved

    def _value(self, terms: Terms, weights: Tensor) -> Tensor:
        return self.loss.value(weights) + terms.value(weights)

    def _note(self, iterates: Iterates) -> None:
        """Keep what is new, and go on with the members that have not arrived."""
        gradient = self.loss.gradient(iterates.point)
        slope = iterates.terms.slope(gradient, iterates.point)
        if iterates.terms.halved:
            slope = slope + best_moves(iterates.terms, gradient, iterates.point).left
        members = iterates.members
        residuals = (_largest(slope) / self._unit[:, members]).flatten(1)
        residuals = torch.where(residuals.isfinite(), residuals, math.nan)
        before = self.converged[:, members]
        self._found[:, members] = torch.where(
            before[..., None, None], self._found[:, members], iterates.point
        )
        self.residuals[:, members] = torch.where(before, self.residuals[:, members], residuals)
        arrived, straight = residuals <= self.tolerance, iterates.terms.straight.flatten(1)
        self.converged[:, members] = before | (arrived & ~straight)
        iterates = _bending(iterates, (arrived & straight)[..., None, None])
        still = self.active[members].nonzero().flatten()
        if len(still) < len(members):
            iterates = iterates.keep(self._padded(still))
        self._iterates = iterates

    def _padded(self, positions: Tensor) -> Tensor:
        """Return positions, the first repeated until stacked outputs are a multiple of STACK."""
        if not len(positions):
            return positions
        multiple = STACK // math.gcd(STACK, self.outputs)
        missing = -len(positions) % multiple
        return torch.cat([positions, positions[:1].expand(missing)])


def _bending(iterates: Iterates, now: Tensor) -> Iterates:
    """Let the whole of a concave penalty count from now on, where now (F, P, 1, 1)."""
    if not iterates.terms.concave:
        return iterates
    return replace(
        iterates,
        terms=replace(iterates.terms, bent=torch.where(now, 1, iterates.terms.bent)),
        ahead=torch.where(now, iterates.point, iterates.ahead),
        momentum=torch.where(now, 1, iterates.momentum),
    )


def _gradient_unit(loss: MeanLoss, terms: Terms, start: Tensor) -> Tensor:
    """Return the gradient's size at zero (F, P, 1, 1), the residuals' unit; 1 where it is zero."""
    size = _largest(loss.gradient(start) + terms.linear)
    return torch.where(size > 0, size, 1)


def _conjugate_gradients(curvature: Curvature, slope: Tensor, bending: Tensor) -> Tensor:
    """Solve curvature(step) = slope (F, P, K, D) as far as CONJUGATE_STEPS go; from zero.

    It ends where a direction bends down. Of members that are bending, where that may be, the step
    still goes along it, as far as if it bent up as much: proximal steps alone would creep there.
    """
    step, left = torch.zeros_like(slope), slope
    direction = left
    length = enough = _dot(left, left)
    enough = enough * torch.finfo(slope.dtype).eps
    for _ in range(CONJUGATE_STEPS):
        heed()
        bent = curvature(direction)
        along = _dot(direction, bent)
        unfinished = length > enough
        going, last = unfinished & (along > 0), unfinished & bending & (along < 0)
        by = torch.where(going | last, length / torch.where(going | last, along.abs(), 1), 0)
        step = step + by * direction
        left = left - torch.where(going, by, 0) * bent
        shorter = torch.where(last, 0, _dot(left, left))
        turn = torch.where(going, shorter / torch.where(going, length, 1), 0)
        direction = left + turn * direction
        length = torch.where(going | last, shorter, length)
    return step


def _dot(left: Tensor, right: Tensor) -> Tensor:  # (F, P, 1, 1)
    return (left * right).sum((-2, -1), keepdim=True)


def _largest(slope: Tensor) -> Tensor:  # (F, P, 1, 1); NaN where there is one
    return slope.abs().amax((-2, -1), keepdim=True)
