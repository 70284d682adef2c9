"""Where the optimisers come to rest: the conditions of an optimum, by autograd on the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from populations import CPU, configuration, job, made_up_fold, trainer_of
from scipy.optimize import minimize
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.minibatch.batches import Minibatches
from workers.minibatch.chunks import Chunk
from workers.minibatch.trainer import Trainer
from workers.models.layout import Group
from workers.objectives.losses import row_losses
from workers.optimizers import OPTIMIZERS
from workers.optimizers.adam import Adam
from workers.optimizers.base import Rates, Uses
from workers.penalties import concave
from workers.penalties.penalties import PENALTIES
from workers.penalties.proximal import group_soft_threshold
from workers.population.configuration import Configuration

CLASSES = 3
FOLD = made_up_fold(60, inputs=4, classes=CLASSES)
RATES = {"sgd": 0.5, "adam": 0.1, "adamw": 0.1}
STEPS = 600
MEMBERS = [
    configuration("none"),
    configuration("l1", 0.03),
    configuration("l2", 0.03),
    configuration("elastic_net", 0.05, l1_ratio=0.4),
    configuration("group_lasso", 0.03),
    configuration("sparse_group_lasso", 0.03, l1_ratio=0.4),
    configuration("mcp", 0.03),
    configuration("scad", 0.03),
    configuration("l0.5", 0.03),
]
SPARSE = [own for own in MEMBERS if PENALTIES[own.penalty].sparse]


@dataclass(frozen=True)
class Rest:
    """What full-batch steps have come to: a chunk's members on one fold."""

    trainer: Trainer
    chunk: Chunk

    def views(self, rows: Tensor, position: int) -> tuple[Tensor, Tensor]:
        """Weight (classes, inputs) and bias (classes,) in rows (1, P, columns)."""
        found = self.trainer.layout.views(rows[0, position])
        return found["weight"], found["bias"]


def at_rest(spec: JobSpec, members: list[Configuration]) -> Rest:
    """After STEPS steps with the gradient of all rows; so many are the schedule's horizon."""
    trainer = trainer_of(spec, [FOLD], CLASSES, dtype=torch.float64)
    minibatches = Minibatches([len(FOLD.train_targets)], 1000, 0, CPU)  # one, of all rows
    (chunk,) = trainer.chunks(members)
    assert trainer.train_epoch(chunk, minibatches.epoch() * STEPS).all()
    return Rest(trainer, chunk)


def small_job(optimizer: str, **fields: object) -> JobSpec:
    return job(optimizer=optimizer, model={"kind": "linear"}, epochs=1, **fields)


def with_rate(members: list[Configuration], rate: float, **fields: float) -> list[Configuration]:
    return [replace(own, learning_rate=rate, **fields) for own in members]


def violation(
    own: Configuration, weight: Tensor, bias: Tensor, pull: tuple[Tensor, Tensor] | None = None
) -> float:
    """The largest entry of the smallest subgradient of loss plus penalty, bias included.

    pull: what is added to the gradient, for weight and bias.
    """
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    logits = FOLD.train_inputs.double() @ weight.T + bias
    loss = row_losses("multiclass", logits, FOLD.train_targets).mean()
    slope, free = torch.autograd.grad(loss, (weight, bias))
    found, parts = weight.detach(), PENALTIES[own.penalty].components(own.strength, own.l1_ratio)
    slope = slope + 2 * parts.l2 * found
    if pull is not None:
        slope, free = slope + pull[0], free + pull[1]
    shape = (parts.l1, parts.concavity, parts.knee, parts.half)
    l1 = concave.pull(found, *map(torch.tensor, shape))
    slope = torch.where(found == 0, slope - slope.clamp(-l1, l1), slope + l1 * found.sign())
    limit, norms = parts.group * math.sqrt(CLASSES), found.norm(dim=0, keepdim=True)
    inside = slope + limit * found / norms.clamp_min(1e-300)
    beyond = slope * (1 - limit / slope.norm(dim=0, keepdim=True).clamp_min(1e-300)).clamp_min(0)
    left = torch.where(norms > 0, inside, beyond)
    return max(left.abs().max().item(), free.abs().max().item())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(
    ("schedule", "clip_norm"), [("constant", None), ("cosine", None), ("cosine", 0.05)]
)
def test_every_penalty_ends_at_the_optimum_of_loss_plus_penalty(
    optimizer: str, schedule: str, clip_norm: float | None
) -> None:
    """λ is 0.03 to 0.05: a momentum that weakened the threshold would show as most of it."""
    spec = small_job(
        optimizer, schedule=schedule, clip_norm=clip_norm, search={"weight_decay": 0.0}
    )
    lively = optimizer != "sgd" and schedule == "constant"
    # Where a gradient goes to nothing Adam's second moment does too, and a constant rate stays
    # lively: always without an l1 or group part, a little in the biases of all.
    members = with_rate(SPARSE if lively else MEMBERS, RATES[optimizer])
    rest = at_rest(spec, members)
    for position, own in enumerate(rest.chunk.configurations):
        weight, bias = rest.views(rest.chunk.weights, position)
        # What weighs much pays nothing for more under a concave penalty, and takes as long.
        unbounded = own.penalty == "none" or PENALTIES[own.penalty].concave
        tolerance = 1e-3 if lively or unbounded else 1e-6
        assert violation(own, weight, bias) < tolerance, own.penalty
        if own.penalty in ("none", "l2"):
            assert (weight != 0).all()
        if own.penalty in ("l1", "elastic_net"):
            assert (weight == 0).any()


def test_adamw_with_decay_rests_where_its_own_equation_holds() -> None:
    """0 in the gradient + λ ∂R + wd D w, D the second moment's square root: not the optimum."""
    spec = small_job("adamw")
    members = with_rate(MEMBERS[1:], RATES["adamw"], weight_decay=0.5)
    rest = at_rest(spec, members)
    _, square = rest.chunk.state
    metric = (square / (1 - Adam.beta2**rest.chunk.steps)).sqrt() + Adam.epsilon
    for position, own in enumerate(rest.chunk.configurations):
        weight, bias = rest.views(rest.chunk.weights, position)
        scales = rest.views(metric, position)
        pull = (own.weight_decay * scales[0] * weight, own.weight_decay * scales[1] * bias)
        assert violation(own, weight, bias, pull) < 2e-4
        assert violation(own, weight, bias) > 5e-3


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_decay_that_is_coupled_rests_at_the_optimum_with_half_of_it_as_l2(optimizer: str) -> None:
    """Of every parameter, so of the bias too."""
    members = with_rate(MEMBERS[1:4], RATES[optimizer], weight_decay=0.1)
    rest = at_rest(small_job(optimizer), members)
    for position, own in enumerate(rest.chunk.configurations):
        weight, bias = rest.views(rest.chunk.weights, position)
        pull = (2 * (0.1 / 2) * weight, 2 * (0.1 / 2) * bias)
        assert violation(own, weight, bias, pull) < 2e-4
        assert violation(own, weight, bias) > 5e-3


# --- where a constant gradient moves a weight, groups in a metric -------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "falling"])
def test_a_constant_gradient_is_held_by_a_strength_of_its_size_whatever_the_momentum(
    optimizer: str, momentum: float, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = OPTIMIZERS[optimizer]  # type: ignore[index]
    name = "momentum" if optimizer == "sgd" else "beta1"
    monkeypatch.setattr(kind, name, momentum)
    slope = torch.tensor([[0.7, -0.2, 5.0]], dtype=torch.float64).repeat(3, 1)
    # Of the largest, of none, and of the middle one; a hair to either side of the first.
    strengths = torch.tensor([[5.0 * (1 + 1e-6)], [5.0 * (1 - 1e-6)], [0.7 * (1 + 1e-6)]]).double()
    none = torch.zeros_like(strengths)
    rates = Rates(
        torch.full_like(strengths, 0.05), none, strengths, none, none, none, none, none + 1
    )
    own = kind(
        Uses(
            3, l1=True, l2=False, last=False, subgradient=False, weight_decay=False, clip_norm=None
        )
    )
    weights = torch.zeros(3, 3, dtype=torch.float64)
    state = [torch.zeros_like(weights) for _ in range(kind.remembers)]
    steps = 200
    factors = [1.0 if schedule == "constant" else 1 - step / steps for step in range(steps)]
    coefficients = own.coefficients(rates, 0, [1.0, *factors])
    for now in coefficients:
        own.update(weights, slope.clone(), state, now)
    assert (weights != 0).tolist() == [
        [False, False, False],
        [False, False, True],
        [False, False, True],
    ]


@pytest.mark.parametrize("threshold", [0.01, 0.5, 3.0, 10.0, 19.0, 25.0])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adams_group_step_minimises_in_its_own_metric(optimizer: str, threshold: float) -> None:
    """One step whose metric is D = (1, 10, 100), against the minimiser found by brute force."""
    kind = OPTIMIZERS[optimizer]  # type: ignore[index]
    metric = np.array([1.0, 10.0, 100.0])
    start = torch.tensor([[2.0, -0.6, 0.15]], dtype=torch.float64)
    gradient = torch.from_numpy(metric[None])  # v̂ after one step is g²
    one, none = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    strength = threshold / math.sqrt(3) * one
    own = kind(
        Uses(
            3, l1=False, l2=False, last=True, subgradient=False, weight_decay=False, clip_norm=None
        )
    )
    (now,) = own.coefficients(
        Rates(one, none, none, none, strength, none, none, one), 0, [1.0, 1.0]
    )
    weights = start.clone()
    state = [torch.zeros_like(weights), torch.zeros_like(weights)]
    found, scaled = own.update(weights, gradient.clone(), state, now)
    group_soft_threshold(weights, found, scaled, (Group(0, (1, 3), (-1,), 3),))
    point = start[0].numpy() - 1.0  # lr m̂ / √v̂ = 1

    def objective(w: np.ndarray) -> np.ndarray:
        return 0.5 * (metric * (w - point) ** 2).sum(-1) + threshold * np.linalg.norm(w, axis=-1)

    axis = np.linspace(-2, 2, 41)
    grid = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    corner = grid[objective(grid).argmin()]
    best = minimize(
        objective,
        corner,
        method="Nelder-Mead",
        options={"xatol": 1e-11, "fatol": 1e-15, "maxiter": 5000},
    )
    assert objective(weights[0].numpy()) <= best.fun + 1e-9
    assert weights[0].numpy() == pytest.approx(best.x, abs=1e-5)
    edge = float(np.linalg.norm(metric * point))
    assert bool((weights == 0).all()) == (threshold >= edge)
