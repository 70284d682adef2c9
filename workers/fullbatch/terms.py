"""Penalties and label smoothing of the members, beside the loss that they have in common.

Weights are (F, P, K, D) as in `workers.fullbatch.rows`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from workers.fullbatch.rows import Curvature, Design, LinearFit, MeanLoss
from workers.models.by_input import by_size
from workers.penalties.components import Components
from workers.penalties.concave import bend, concave_threshold, concave_value, pull
from workers.penalties.half import matching_l1

# Of terms, what all members have in common.
FIXED = ("axis", "shared", "bounds", "concave", "halved", "steepness")


@dataclass(frozen=True)
class Strengths:
    """The strengths of mean loss + l1 Σ|w| + l2 Σ w² + group Σ_g √size(g) ‖w_g‖, (P,) each.

    label_smoothing (P,): share of a class target that is spread over all classes. concavity, knee
    (P,): of the first term, half (P,): of Σ |w|^½, adaptive (P,): of Σ a |w|, as in `Components`.
    """

    l1: Tensor
    l2: Tensor
    group: Tensor
    label_smoothing: Tensor
    concavity: Tensor
    knee: Tensor
    half: Tensor
    adaptive: Tensor

    @classmethod
    def of(cls, parts: Sequence[Components], smoothing: Sequence[float] = ()) -> Strengths:
        """Return those of members with these components; no smoothing by default. float64."""
        rows = [
            (own.l1, own.l2, own.group, share, own.concavity, own.knee, own.half, own.adaptive)
            for own, share in zip(parts, smoothing or [0.0] * len(parts), strict=True)
        ]
        return cls(*torch.tensor(rows, dtype=torch.float64).unbind(1))


@dataclass(frozen=True)
class Terms:
    """Penalties and smoothing of members, laid out as their weights (F, P, K, D) are."""

    linear: Tensor  # (F, P, K, D), added to the gradient: label smoothing
    l1: Tensor  # (1, P, 1, D), or (F, P, 1, D) where some of it is by fold
    l2: Tensor  # (1, P, 1, D)
    group: Tensor  # (1, P, 1, D), the threshold of a column's group; 0 where there is none
    axis: int  # along which a group's weights lie
    concavity: Tensor  # (1, P, 1, D), of the l1 term as long as it is bent
    knee: Tensor  # (1, P, 1, 1)
    half: Tensor  # (1, P, 1, D), in the place of the l1 term as long as it is bent
    bent: Tensor  # (F, P, 1, 1): 1 where the concave penalty counts, 0 where its l1 term alone
    concave: bool  # whether any member of the population has a concave penalty
    halved: bool  # whether any has Σ |w|^½
    steepness: Tensor | None  # (F, 1, 1, D), no weight's curvature is larger; None without a bound
    shared: Sequence[Tensor] = ()  # columns (groups, size) that have one group, for each size
    bounds: Tensor | None = None  # (2, F, 1, 1, D): between which weights of single groups lie

    @classmethod
    def of(cls, fit: LinearFit, design: Design, loss: MeanLoss, strengths: Strengths) -> Terms:
        """Lay strengths (P,) out by column; a penalised intercept is a group of one."""
        outputs = loss.smoothing.shape[-2]
        feature = torch.zeros_like(design.inputs[0, 0])  # (D,)
        intercept = feature.clone()
        feature[: design.features] = 1 if fit.factors is None else fit.factors
        intercept[design.features] = 1 if fit.penalize == "all" else 0

        def column(strength: Tensor) -> Tensor:  # (P,) -> (1, P, 1, 1)
            return strength.to(feature)[None, :, None, None]

        l1, l2, group = column(strengths.l1), column(strengths.l2), column(strengths.group)
        concavity, knee, half = map(column, (strengths.concavity, strengths.knee, strengths.half))
        half = half * (feature + intercept)
        most = outputs if fit.group_by == "input" else design.features
        size = torch.full_like(feature, most, dtype=torch.float64)
        shared = [own.to(feature.device) for own in by_size(fit.groups or ()) if own.shape[1] > 1]
        for columns in shared:
            size[columns] *= columns.shape[1]
        return cls(
            linear=column(strengths.label_smoothing) * loss.smoothing,
            l1=l1 * feature
            + (l1 + group) * intercept
            + matching_l1(half, loss.bend)
            + column(strengths.adaptive) * _adaptive(fit, feature + intercept),
            l2=l2 * (feature + intercept),
            group=size.sqrt().to(feature) * group * feature,
            axis=-2 if fit.group_by == "input" else -1,
            concavity=concavity * (feature + intercept),
            knee=knee,
            half=half,
            bent=torch.zeros_like(knee).repeat(len(fit.folds), 1, 1, 1),
            concave=bool((strengths.concavity + strengths.half > 0).any()),
            halved=bool((strengths.half > 0).any()),
            steepness=design.squares() * loss.bend if loss.bounded else None,
            shared=shared,
            bounds=_bounds_by_column(fit, feature),
        )

    def keep(self, members: Tensor) -> Terms:
        """Return those of these members (indices) alone."""
        of = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: own.index_select(1, members) for name, own in of.items() if name not in FIXED}
        return replace(self, **kept)

    @property
    def straight(self) -> Tensor:
        """True for members (F, P, 1, 1) of which the l1 term alone counts so far."""
        return self._curved.any(-1, keepdim=True) & (self.bent == 0)

    @property
    def bending(self) -> Tensor:
        """True for members (F, P, 1, 1) whose concave penalty counts."""
        return self._curved.any(-1, keepdim=True) & (self.bent > 0)

    @property
    def _curved(self) -> Tensor:
        """True for weights (1, P, 1, D) whose penalty is concave."""
        return (self.concavity > 0) | (self.half > 0)

    @property
    def _shape(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        concavity = self.concavity * self.bent
        if not self.halved:
            return self.l1, concavity, self.knee, None
        half = self.half * self.bent
        return torch.where(half > 0, 0, self.l1), concavity, self.knee, half

    def single(self, weights: Tensor) -> Tensor:
        """Return the concave penalty of each weight, (F, P, K, D)."""
        return concave_value(weights, *self._shape)

    def norms(self, weights: Tensor) -> Tensor:
        """Return ‖w_g‖ of each weight's group, broadcast along it; 0 for weights without one."""
        return self._sums(torch.where(self.group > 0, weights, 0).square()).sqrt()

    def _sums(self, values: Tensor) -> Tensor:
        """Return the sums over each value's group, broadcast along it."""
        sums = values.sum(self.axis, keepdim=True)
        for columns in self.shared:
            sums[..., columns] = sums[..., columns].sum(-1, keepdim=True)
        return sums

    def value(self, weights: Tensor) -> Tensor:
        """Return linear term and penalty, (F, P, 1, 1)."""
        norms = self.norms(weights)
        # ‖w‖ = Σ w²/‖w‖, so that a group's norm is counted once along its weights.
        blocks = self.group * weights.square() / torch.where(norms > 0, norms, 1)
        sizes = self.l1 * weights.abs()
        if self.concave:
            sizes = torch.where(self._curved, self.single(weights), sizes)
        plain = sizes + self.l2 * weights.square() + self.linear * weights
        return (plain + blocks).sum((-2, -1), keepdim=True)

    def prox(self, points: Tensor, steepness: Tensor) -> Tensor:
        """Return argmin_w ½ Σ steepness (w - points)² + penalty(w)."""
        threshold = self.l1 / steepness
        shrunk = points - points.clamp(-threshold, threshold)
        norms = self.norms(shrunk)
        threshold = self.group / steepness
        kept = (norms > threshold) | (threshold == 0) | norms.isnan()
        factor = 1 - threshold / torch.where(norms > 0, norms, 1)
        shrunk = torch.where(kept, shrunk * factor, 0)
        shrunk = shrunk / (1 + 2 * self.l2 / steepness)
        if self.concave:
            steeper = steepness + 2 * self.l2
            own = concave_threshold(points * steepness / steeper, steeper, *self._shape)
            shrunk = torch.where(self._curved, own, shrunk)
        # What is convex in one number is least at the bound next to where it would be.
        return self._bounded(shrunk)

    def _bounded(self, weights: Tensor) -> Tensor:
        if self.bounds is None:
            return weights
        return weights.clamp(*self.bounds)

    def slope(self, gradient: Tensor, weights: Tensor) -> Tensor:
        """Return the smallest subgradient of the objective; all zeros at the optimum.

        gradient (F, P, K, D): of the loss alone.
        """
        smooth = gradient + self.linear + 2 * self.l2 * weights
        l1 = self.l1
        if self.concave:
            l1 = torch.where(self._curved, pull(weights, *self._shape), l1)
        bent = torch.where(weights == 0, smooth.clamp(-l1, l1), -l1 * weights.sign())
        smooth = smooth - bent
        norms, least = self.norms(weights), self.norms(smooth)
        inside = smooth + self.group * weights / torch.where(norms > 0, norms, 1)
        left = (1 - self.group / torch.where(least > 0, least, 1)).clamp_min(0)
        found = torch.where((norms > 0) | (self.group == 0), inside, smooth * left)
        if self.bounds is None:
            return found
        low, high = self.bounds
        outwards = ((weights <= low) & (found > 0)) | ((weights >= high) & (found < 0))
        return torch.where(outwards, 0, found)

    def free(self, weights: Tensor) -> Tensor:
        """Return where the objective is smooth at these weights: Newton steps may move them."""
        smooth = (weights != 0) | ((self.l1 == 0) & (self.group == 0))
        if self.bounds is None:
            return smooth
        low, high = self.bounds
        return smooth & (weights > low) & (weights < high)

    def bend(self, weights: Tensor) -> Curvature:
        """Return the penalty's second derivative at these weights, times directions."""
        norms = self.norms(weights)
        norms = torch.where(norms > 0, norms, 1)
        shrinking, unit = self.group / norms, torch.where(self.group > 0, weights / norms, 0)
        own = 2 * self.l2
        if self.concave:
            own = torch.where(self._curved, own - bend(weights, *self._shape), own)

        def times(directions: Tensor) -> Tensor:
            along = self._sums(unit * directions)
            return own * directions + shrinking * (directions - unit * along)

        return times

    def within(self, moved: Tensor, weights: Tensor) -> Tensor:
        """Zero what a Newton step has moved across the kink at zero, groups included.

        What it has moved across a bound stays there.
        """
        crossed = (self.l1 > 0) & (moved * weights < 0)
        moved = torch.where(crossed, 0, moved)
        grouped = self.group > 0
        agreement = self._sums(torch.where(grouped, moved * weights, 0))
        return self._bounded(torch.where(grouped & (agreement < 0), 0, moved))


def _adaptive(fit: LinearFit, factors: Tensor) -> Tensor:
    """Return factors (D,) times the fit's adaptive weights, (F, 1, 1, D); as they are without."""
    if fit.adaptive is None:
        return factors
    found = factors.repeat(len(fit.adaptive), 1)
    found[:, : fit.adaptive.shape[1]] *= fit.adaptive.to(found)
    return found[:, None, None]


def _bounds_by_column(fit: LinearFit, like: Tensor) -> Tensor | None:
    """Return the fit's bounds as (2, F, 1, 1, D), infinite for the intercept; like (D,)."""
    if fit.bounds is None:
        return None
    ends = like.new_tensor([-math.inf, math.inf])
    found = ends[:, None, None].repeat(1, len(fit.bounds), len(like))
    found[..., : fit.bounds.shape[-1]] = fit.bounds.transpose(0, 1).to(like)
    return found[:, :, None, None]
