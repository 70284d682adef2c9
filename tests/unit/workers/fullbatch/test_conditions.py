"""The exact solver's results satisfy the conditions of an optimum, on problems that nobody chose.

Loss and gradient come from autograd on the rows as they were given; the conditions are those of
Karush, Kuhn and Tucker for l1 Σ|w| + l2 Σ w² + group Σ_g √size ‖w_g‖; without an initial fit the
adaptive term is an l1 one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from populations import CPU
from torch import Tensor

from ridgeway.spec.names import PenaltyName
from workers.fullbatch.exact import ExactFold
from workers.fullbatch.one_by_one import Solved
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.kernels import Library, load
from workers.objectives.losses import Huber, Kind, of_classes, row_losses
from workers.penalties.components import Components
from workers.penalties.penalties import PENALTIES

LIBRARY = load(torch.float64)
LOSSES: list[tuple[Kind, int]] = [
    ("regression", 1),
    ("binary", 1),
    ("multiclass", 3),
    ("poisson", 1),
    (Huber(0.5), 1),
]

CONVEX = [name for name, own in PENALTIES.items() if not (own.concave or own.hierarchical)]

pytestmark = pytest.mark.skipif(not isinstance(LIBRARY, Library), reason="no compiler")


@dataclass(frozen=True)
class Case:
    """Rows, their loss, and what is penalised how."""

    rows: TrainingRows
    kind: Kind
    outputs: int
    penalises_all: bool
    member: Components

    def solved(self) -> Solved | None:
        """Return the solution by the kernels; None where they leave it to the batched solver."""
        assert isinstance(LIBRARY, Library)
        penalize = "all" if self.penalises_all else "weights"
        fit = LinearFit([self.rows], self.kind, self.outputs, torch.float64, CPU, "input", penalize)
        return ExactFold(fit, self.rows, LIBRARY).solve(Wanted(self.member))

    def slopes(self, found: Solved) -> tuple[Tensor, Tensor]:
        """Return the mean loss's gradient by weights (K, d) and intercepts (K,)."""
        weights = found.weights.double().requires_grad_()
        intercepts = found.intercepts.double().requires_grad_()
        outputs = self.rows.inputs @ weights.T + intercepts
        losses = row_losses(self.kind, outputs, self.rows.targets)
        shares = torch.ones(len(losses)) if self.rows.weights is None else self.rows.weights
        loss = (losses * shares).sum() / shares.sum()
        by_weights, by_intercepts = torch.autograd.grad(loss, (weights, intercepts))
        return by_weights, by_intercepts

    def violation(self, found: Solved) -> float:
        """Return the largest entry of the smallest subgradient of the whole objective."""
        by_weights, by_intercepts = self.slopes(found)
        own, intercept = self.member, Components()
        if own.adaptive > 0:
            own = Components(l1=own.adaptive)
        if self.penalises_all:  # an intercept is a group of one
            intercept = Components(l1=own.l1 + own.group, l2=own.l2)
        limit = math.sqrt(self.outputs) * own.group
        left = (
            _left(by_weights, found.weights, own, limit),
            _left(by_intercepts[:, None], found.intercepts[:, None], intercept, 0.0),
        )
        return max(each.abs().max().item() for each in left)


def _left(slope: Tensor, weights: Tensor, own: Components, limit: float) -> Tensor:
    """Return what no subgradient of the penalty takes away of a gradient (K, d)."""
    slope = slope + 2 * own.l2 * weights
    at_zero = slope - slope.clamp(-own.l1, own.l1)
    slope = torch.where(weights == 0, at_zero, slope + own.l1 * weights.sign())
    if limit == 0:
        return slope
    sizes = weights.norm(dim=0, keepdim=True)
    inside = slope + limit * weights / sizes.clamp_min(1e-300)
    beyond = slope * (1 - limit / slope.norm(dim=0, keepdim=True).clamp_min(1e-300)).clamp_min(0)
    return torch.where(sizes > 0, inside, beyond)


@st.composite
def rows_of(draw: st.DrawFn, kind: Kind, outputs: int) -> TrainingRows:
    """Rows with columns that are correlated, constant or equal, at other scales and offsets."""
    count, features = draw(st.integers(2, 30)), draw(st.integers(1, 40))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    inputs = torch.randn(count, features, dtype=torch.float64, generator=seed)
    shared = torch.randn(count, 1, dtype=torch.float64, generator=seed)
    inputs = inputs + draw(st.sampled_from([0.0, 1.0, 10.0])) * shared
    inputs = inputs * draw(st.sampled_from([0.1, 1.0, 5.0])) + draw(st.sampled_from([0.0, 3.0]))
    for place in draw(st.lists(st.integers(0, features - 1), max_size=4)):
        inputs[:, place] = draw(st.sampled_from([0.0, 1.0, -2.5]))
    for place in draw(st.lists(st.integers(0, features - 1), max_size=4)):
        inputs[:, place] = inputs[:, draw(st.integers(0, features - 1))]
    if not of_classes(kind):
        signal = inputs[:, 0] - inputs[:, -1]
        targets = signal + torch.randn(count, dtype=torch.float64, generator=seed)
        if kind == "poisson":
            targets = targets.round().abs()
    else:
        targets = torch.randint(max(2, outputs), (count,), generator=seed)
    weights = None
    if draw(st.booleans()):
        weights = torch.rand(count, dtype=torch.float64, generator=seed) + 0.01
        if draw(st.booleans()):
            weights[0] = 0
    return TrainingRows(inputs, targets, weights)


@st.composite
def cases(draw: st.DrawFn, penalty: PenaltyName, kind: Kind, outputs: int) -> Case:
    """A problem with a strength between one that leaves next to nothing and a small one."""
    rows = draw(rows_of(kind, outputs))
    strength = 10 ** draw(st.floats(-3, 0.5))
    member = PENALTIES[penalty].components(strength, draw(st.floats(0.05, 0.95)))
    return Case(rows, kind, outputs, draw(st.booleans()), member)


@pytest.mark.parametrize(("kind", "outputs"), LOSSES)
@pytest.mark.parametrize("penalty", CONVEX)
def test_what_converges_is_an_optimum(penalty: PenaltyName, kind: Kind, outputs: int) -> None:
    solved: list[bool] = []

    @settings(max_examples=30)
    @given(case=cases(penalty, kind, outputs))
    def check(case: Case) -> None:
        found = case.solved()
        assume(found is not None)
        assert found is not None
        solved.append(found.converged)
        # What nothing bounds may go on for ever, or be too ill-conditioned for Newton's steps.
        assert found.converged or penalty == "none"
        if found.converged:
            scale = max(1.0, case.rows.inputs.abs().max().item())
            assert case.violation(found) < 1e-6 * scale

    check()
    assert sum(solved) > 15
