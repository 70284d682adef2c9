"""One model trained on one fold by torch.optim, a step at a time: what populations have to equal.

Written from docs/training.md and the papers, on purpose without the engine's optimisers, penalties,
losses and schedules. From the engine it takes where a fold starts and which rows it sees.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.optimize import brentq
from sklearn.metrics import mean_poisson_deviance
from torch import Tensor, nn
from torch.nn import functional

from ridgeway.spec.losses import LossSpec, PoissonLoss, QuantileLoss
from ridgeway.spec.spec import JobSpec
from workers.data.folds import Fold
from workers.data.seeds import derived_seed
from workers.minibatch.batches import Minibatches
from workers.models.building import build_model
from workers.models.dropout import with_own_dropout
from workers.population.configuration import Configuration

NORMALISATIONS = (nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm)


def plain_loop(
    spec: JobSpec,
    member: Configuration,
    folds: Sequence[Fold],
    number: int,
    outputs: int,
    seed: int = 0,
) -> tuple[nn.Module, list[float]]:
    """The model that training leaves in float64, and its validation loss after each epoch."""
    fold = folds[number]
    inputs, targets = fold.train_inputs.double(), fold.train_targets
    row_weights = class_weights(spec, targets)
    cpu = torch.device("cpu")
    minibatches = Minibatches([len(f.train_targets) for f in folds], spec.batch_size, seed, cpu)
    first = sum(len(before.train_targets) for before in folds[:number])
    masks = derived_seed(seed, "masks") >> 8
    curve: list[float] = []
    with torch.random.fork_rng(devices=[]):
        model = fresh_model(spec, number, inputs.shape[1], outputs, seed)
        stepper = torch_optimizer(spec, member, model)
        for epoch in range(spec.epochs):
            model.train()
            for place, batch in enumerate(minibatches.epoch()):
                done = epoch * minibatches.steps + place
                rows = batch.rows[number, : batch.sizes[number]] - first
                stepper.zero_grad()
                torch.default_generator.manual_seed(masks + done)
                losses = row_losses(
                    spec, model(inputs[rows]), targets[rows], member.label_smoothing
                )
                loss = (row_weights[rows] * losses).mean()
                now = grown(spec, member, done, minibatches.steps)
                (loss + smooth_penalty(spec, now, model)).backward()
                rate = member.learning_rate * schedule(spec, done, minibatches.steps)
                penalised_step(spec, now, model, stepper, rate)
            curve.append(validation_loss(spec, model, fold))
    return model, curve


def fresh_model(spec: JobSpec, number: int, inputs: int, outputs: int, seed: int) -> nn.Module:
    torch.manual_seed(derived_seed(seed, "weights", number))
    return with_own_dropout(build_model(spec.model, inputs, outputs)).double()


def torch_optimizer(
    spec: JobSpec, member: Configuration, model: nn.Module
) -> torch.optim.Optimizer:
    own = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decay = member.weight_decay
    if spec.optimizer == "sgd":
        return torch.optim.SGD(own, lr=member.learning_rate, momentum=0.9, weight_decay=decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[spec.optimizer]
    return kind(own, lr=member.learning_rate, weight_decay=decay)


def schedule(spec: JobSpec, done: int, steps_per_epoch: int) -> float:
    """The learning rate's factor after so many steps."""
    warmup, total = spec.warmup_epochs * steps_per_epoch, spec.epochs * steps_per_epoch
    if done < warmup:
        return (done + 1) / warmup
    if spec.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (total - warmup)))


def grown(spec: JobSpec, member: Configuration, done: int, steps_per_epoch: int) -> Configuration:
    """The member with the strength that it has in this step."""
    if member.penalty != "hierarchical" and spec.kind != "path":
        return member
    dense = int(0.1 * spec.epochs) * steps_per_epoch
    share = (done + 1 - dense) / (round(0.6 * spec.epochs * steps_per_epoch) - dense)
    return replace(member, strength=member.strength * min(1.0, max(0.0, share)))


# --- the objective ------------------------------------------------------------------------------


def class_weights(spec: JobSpec, targets: Tensor) -> Tensor:
    """n / (k n_c) for each row where classes are balanced, else 1."""
    if spec.class_weights == "none":
        return torch.ones(len(targets), dtype=torch.float64)
    labels = targets.tolist()
    classes = len(set(labels))
    own = [len(labels) / (classes * labels.count(label)) for label in labels]
    return torch.tensor(own, dtype=torch.float64)


def row_losses(spec: JobSpec, logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """(rows,)"""
    if spec.loss is not None:
        return named_losses(spec.loss, logits[:, 0], targets.double())
    if spec.task == "regression":
        return functional.mse_loss(logits[:, 0], targets.double(), reduction="none")
    if logits.shape[1] > 1:
        return functional.cross_entropy(
            logits, targets, label_smoothing=smoothing, reduction="none"
        )
    truth = targets.double() * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(logits[:, 0], truth, reduction="none")


def named_losses(loss: LossSpec, logits: Tensor, targets: Tensor) -> Tensor:
    """(rows,)"""
    if isinstance(loss, PoissonLoss):
        return functional.poisson_nll_loss(logits, targets, reduction="none")
    if isinstance(loss, QuantileLoss):
        errors = targets - logits
        return torch.where(errors > 0, loss.quantile * errors, (loss.quantile - 1) * errors)
    return 2 * functional.huber_loss(logits, targets, delta=loss.delta, reduction="none")


def validation_loss(spec: JobSpec, model: nn.Module, fold: Fold) -> float:
    model.eval()
    if spec.loss is not None:
        return named_validation_loss(spec.loss, model, fold)
    with torch.no_grad():
        answers = fold.target_mean + fold.target_scale * model(fold.valid_inputs.double())
    return row_losses(spec, answers, fold.valid_targets).mean().item()


def named_validation_loss(loss: LossSpec, model: nn.Module, fold: Fold) -> float:
    """The deviance, or another loss in the target's own units."""
    with torch.no_grad():
        logits = model(fold.valid_inputs.double())[:, 0]
    if isinstance(loss, PoissonLoss):
        return float(mean_poisson_deviance(fold.valid_targets, fold.target_scale * logits.exp()))
    standardised = (fold.valid_targets - fold.target_mean) / fold.target_scale
    power = 1 if isinstance(loss, QuantileLoss) else 2
    return fold.target_scale**power * named_losses(loss, logits, standardised).mean().item()


def penalised(spec: JobSpec, model: nn.Module) -> list[tuple[nn.Parameter, nn.Module]]:
    """Weights, or all that is trained, each with the module that it belongs to."""
    trained = [
        (name, parameter, model.get_submodule(name.rpartition(".")[0]))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]
    return [
        (parameter, owner)
        for name, parameter, owner in trained
        if spec.penalize == "all"
        or (parameter.dim() > 1 and "bias" not in name and not isinstance(owner, NORMALISATIONS))
    ]


def l1_strength(member: Configuration) -> float:
    shares = {
        "l1": 1.0,
        "elastic_net": member.l1_ratio,
        "sparse_group_lasso": member.l1_ratio,
    }
    return member.strength * shares.get(member.penalty, 0.0)


def group_strength(member: Configuration) -> float:
    shares = {"group_lasso": 1.0, "sparse_group_lasso": 1 - member.l1_ratio}
    return member.strength * shares.get(member.penalty, 0.0)


def smooth_penalty(spec: JobSpec, member: Configuration, model: nn.Module) -> Tensor:
    """What goes into the gradient: λ Σ w² and, where asked for, λ Σ |w|."""
    share = {"l2": 1.0, "elastic_net": 1 - member.l1_ratio}.get(member.penalty, 0.0)
    weights = [weight for weight, _ in penalised(spec, model)]
    total = member.strength * share * sum((each**2).sum() for each in weights)
    if spec.l1_method == "subgradient":
        total = total + l1_strength(member) * sum(each.abs().sum() for each in weights)
    return torch.as_tensor(total)


# --- the step -----------------------------------------------------------------------------------


@torch.no_grad()
def penalised_step(
    spec: JobSpec,
    member: Configuration,
    model: nn.Module,
    stepper: torch.optim.Optimizer,
    rate: float,
) -> None:
    """Clip, step as torch does, then the proximal step in the metric of torch's own state."""
    clipped = clip(spec, model)
    before = {each: each.clone() for each in model.parameters()}
    stepper.param_groups[0]["lr"] = rate
    stepper.step()
    if member.penalty == "hierarchical":
        step_inputs(spec, model, stepper, rate, clipped * member.strength)
    for weight, _ in penalised(spec, model):
        metric = metric_of(stepper, weight, rate)
        if spec.l1_method == "proximal":
            threshold = clipped * l1_strength(member) / metric
            weight.copy_(weight.sign() * (weight.abs() - threshold).clamp(min=0))
        if member.penalty in CONCAVE or member.penalty == "l0.5":
            weight.copy_(concave_step(member, weight, metric, clipped))
    if group_strength(member) > 0:
        step_groups(spec, model, stepper, rate, clipped * group_strength(member))
    if spec.optimizer == "sgd":
        # The momentum is that of where the weights went, proximal step included (iPiano).
        for each, then in before.items():
            stepper.state[each]["momentum_buffer"] = (then - each) / rate


def half_step(weight: Tensor, ratio: Tensor) -> Tensor:
    """The best x of ½ (x - u)² + r |x|^½: 0, or the largest root s² of s³ - |u| s + r/2 = 0.

    Newton's steps from s = √|u|, where the cubic rises and is convex, can't pass that root.
    """
    u = weight.abs()
    s = u.sqrt()
    for _ in range(60):
        s = (s - (s**3 - u * s + ratio / 2) / (3 * s**2 - u).clamp(min=1e-300)).clamp(min=0)
    better = (s**2 - u) ** 2 / 2 + ratio * s < u**2 / 2
    return torch.where(better, weight.sign() * s**2, 0)


# Knee and width of what lies between it and where the penalty is flat, in units of the strength.
CONCAVE = {"mcp": (0.0, 3.0), "scad": (1.0, 2.7)}


def concave_step(member: Configuration, weight: Tensor, metric: Tensor, clipped: float) -> Tensor:
    """The best of all points where ½ D (x - u)² + c P(|x|) may have its least value."""
    if member.penalty == "l0.5":
        return half_step(weight, clipped * member.strength / metric)
    strength, u = member.strength, weight.abs()
    knee, width = (strength * size for size in CONCAVE[member.penalty])

    def penalty(x: Tensor) -> Tensor:
        beyond = (x - knee).clamp(0, width)
        return strength * (x.clamp(max=knee) + beyond) - strength * beyond**2 / (2 * width)

    flatter = metric - clipped * strength / width
    between = (metric * u - clipped * strength * (1 + knee / width)) / flatter
    points = torch.stack(
        [
            torch.zeros_like(u),
            (u - clipped * strength / metric).clamp(0, knee),
            between.clamp(knee, knee + width),
            u.clamp(min=knee + width),
        ]
    )
    best = (metric * (points - u) ** 2 / 2 + clipped * penalty(points)).argmin(0, keepdim=True)
    return weight.sign() * points.gather(0, best)[0]


def step_groups(
    spec: JobSpec, model: nn.Module, stepper: torch.optim.Optimizer, rate: float, strength: float
) -> None:
    """Shrink groups of weights; by input, those of a skip layer with those of the first."""
    alone = [
        ([weight], axis_of_groups(spec, weight, own)) for weight, own in penalised(spec, model)
    ]
    if hasattr(model, "skip") and spec.group_by == "input":
        fed = [model.get_submodule(name).weight for name in ("0", "skip")]
        alone = [own for own in alone if not any(own[0][0] is each for each in fed)]
        alone.append((fed, 1))
    for weights, axis in alone:
        both = torch.cat(list(weights))
        metric = torch.cat([metric_of(stepper, weight, rate) for weight in weights])
        for group, own in zip(both.unbind(axis), metric.unbind(axis), strict=True):
            shrink(group, own, strength * math.sqrt(group.numel()))
        for weight, found in zip(weights, both.split([len(each) for each in weights]), strict=True):
            weight.copy_(found)


def step_inputs(
    spec: JobSpec, model: nn.Module, stepper: torch.optim.Optimizer, rate: float, threshold: float
) -> None:
    """Input by input, what it is taken in by: the skip layer's weights θ, and the first layer's W.

    With |W| ≤ M ‖θ‖ the best of all points has the norm s where the slope of what is left is zero.
    """
    layers = [model.get_submodule(name).weight for name in ("skip", "0")]
    metrics = [metric_of(stepper, weight, rate).numpy() for weight in layers]
    limit = spec.hierarchy
    for place in range(layers[0].shape[1]):
        (t, w), (d, e) = ([each[:, place] for each in own] for own in (layers, metrics))
        u, sizes = t.numpy() * d, w.abs().numpy()

        def pull(s: float, e: np.ndarray = e, sizes: np.ndarray = sizes) -> float:
            return threshold - limit * float((e * np.clip(sizes - limit * s, 0, None)).sum())

        def held(s: float, d: np.ndarray = d, pull: Callable[[float], float] = pull) -> float:
            return float(d.min() * s + pull(s))

        def excess(s: float, u: np.ndarray = u, d: np.ndarray = d, pull: Any = pull) -> float:
            return float(np.square(u / (d * s + pull(s))).sum() - 1)

        if np.linalg.norm(u) <= pull(0.0):
            t.zero_(), w.zero_()
            continue
        most = float(np.linalg.norm(t) + sizes.max() / limit) + 1.0
        least = brentq(held, 0.0, most, xtol=1e-18) if held(0.0) < 0 else 0.0
        s = brentq(excess, least + 1e-14, most, xtol=1e-18)
        t.copy_(torch.from_numpy(u * s / (d * s + pull(s))))
        w.clamp_(-limit * s, limit * s)


def clip(spec: JobSpec, model: nn.Module) -> float:
    """Scale the whole gradient down to clip_norm; the factor."""
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    norm = math.sqrt(sum((gradient**2).sum().item() for gradient in gradients))
    if spec.clip_norm is None or norm <= spec.clip_norm:
        return 1.0
    for gradient in gradients:
        gradient.mul_(spec.clip_norm / norm)
    return spec.clip_norm / norm


def metric_of(stepper: torch.optim.Optimizer, weight: Tensor, rate: float) -> Tensor:
    """D = 1 / lr, or Adam's (√v̂ + ε) / lr; as the weight's shape."""
    if isinstance(stepper, torch.optim.SGD):
        return torch.full_like(weight, 1 / rate)
    state, group = stepper.state[weight], stepper.param_groups[0]
    square = state["exp_avg_sq"] / (1 - group["betas"][1] ** state["step"].item())
    return (square.sqrt() + group["eps"]) / rate


def axis_of_groups(spec: JobSpec, weight: Tensor, owner: nn.Module) -> int:
    """Which axis numbers the units whose outgoing (or, by neuron, incoming) weights are a group."""
    if weight.dim() == 1:
        return 0  # groups of one
    inputs = 0 if isinstance(owner, nn.Embedding) else 1
    return inputs if spec.group_by == "input" else 1 - inputs


def shrink(group: Tensor, metric: Tensor, threshold: float) -> None:
    """argmin_x ½ Σ D (x - u)² + τ ‖x‖, in place: x_j = D_j u_j s / (D_j s + τ), s = ‖x‖."""
    u, d = np.atleast_1d(group.numpy()), np.atleast_1d(metric.numpy())
    if np.linalg.norm(d * u) <= threshold:
        group.zero_()
        return

    def excess(s: float) -> float:
        return float(np.square(d * u / (d * s + threshold)).sum() - 1)

    s = brentq(excess, 0.0, float(np.linalg.norm(u)), xtol=1e-18)
    group.copy_(torch.from_numpy(d * u * s / (d * s + threshold)).view_as(group))
