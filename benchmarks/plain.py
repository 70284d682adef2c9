"""Search by the baseline: plain Optuna and an ordinary torch loop, one trial after the other.

As good as that gets on a CPU: batches by index out of prepared tensors, the fused optimiser, one
thread a process, no per-batch metrics; the penalty's proximal step after the optimiser's. The
study is Optuna's own RDBStorage on SQLite, shared by the processes, sampled by its own TPE.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from torch import Tensor, nn

from ridgeway.data.store import Store
from ridgeway.spec.spec import JobSpec
from ridgeway.study.distributions import search_space
from workers.data.folds import Fold
from workers.data.loading import load_frame
from workers.data.prepare import Prepared, check_and_prepare
from workers.models.building import build_model
from workers.population.configuration import Configuration
from workers.sampling import suggest

NETS = (1e-6, 1e-1)  # what "auto" stands for with a net


def search(spec: JobSpec, seed: int, processes: int, folder: Path) -> dict[str, float]:
    """Run the whole search; seconds from the start of the processes to the first trial's end and
    to the last's, and from when all of them were ready to the last's (`warm`).
    """
    url = f"sqlite:///{folder / 'plain.db'}"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name="plain", storage=url, direction="minimize")
    context = multiprocessing.get_context("spawn")
    ready, ends = context.Barrier(processes + 1), context.Queue()
    shares = [len(part) for part in np.array_split(range(spec.trials), processes)]
    started = time.perf_counter()
    workers = [
        context.Process(target=_work, args=(spec, url, share, seed + number, ready, ends))
        for number, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    warm = time.perf_counter()
    arrived = []
    for _ in range(spec.trials):
        ends.get()
        arrived.append(time.perf_counter())
    for worker in workers:
        worker.join()
    return {
        "first": arrived[0] - started,
        "search": arrived[-1] - started,
        "warm": arrived[-1] - warm,
    }


def _work(spec: JobSpec, url: str, trials: int, seed: int, ready: Any, ends: Any) -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    prepared = check_and_prepare(spec, load_frame(spec.dataset, None, Store("/nowhere")))
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.load_study(study_name="plain", storage=url, sampler=sampler)
    ready.wait()
    study.optimize(
        objective(spec, prepared), n_trials=trials, callbacks=[lambda *_: ends.put(None)]
    )


def objective(spec: JobSpec, prepared: Prepared) -> Callable[[optuna.Trial], float]:
    """Train every fold in turn, report the mean loss of each epoch at the end."""
    space = search_space(spec, NETS)

    def train(trial: optuna.Trial) -> float:
        configuration = Configuration.from_params(spec, suggest(trial, space))
        curves = [
            train_fold(spec, configuration, fold, prepared.outputs) for fold in prepared.folds
        ]
        curve = np.mean(curves, axis=0)
        for epoch, value in enumerate(curve, start=1):
            trial.report(float(value), epoch)
        return float(curve[-1])

    return train


def train_fold(
    spec: JobSpec, configuration: Configuration, fold: Fold, outputs: int
) -> list[float]:
    """Return the validation loss after each epoch of one model."""
    torch.manual_seed(spec.seed)
    inputs, targets = fold.train_inputs, fold.train_targets
    model = build_model(spec.model, inputs.shape[1], outputs)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=configuration.learning_rate,
        weight_decay=configuration.weight_decay,
        fused=True,
    )
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    loss_of = _loss(outputs)
    batches = math.ceil(len(targets) / spec.batch_size)
    curve = []
    for _ in range(spec.epochs):
        for rows in torch.randperm(len(targets)).chunk(batches):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(inputs[rows]), targets[rows])
            (loss + _smooth(configuration, weights)).backward()
            optimizer.step()
            _prox(configuration, weights, optimizer)
        with torch.no_grad():
            curve.append(float(loss_of(model(fold.valid_inputs), fold.valid_targets)))
    return curve


def _loss(outputs: int) -> Callable[[Tensor, Tensor], Tensor]:
    if outputs > 1:
        return nn.functional.cross_entropy
    return lambda logits, targets: nn.functional.binary_cross_entropy_with_logits(
        logits.squeeze(-1), targets.float()
    )


def _smooth(configuration: Configuration, weights: list[nn.Parameter]) -> Tensor | float:
    share = {"l2": 1.0, "elastic_net": 1 - configuration.l1_ratio}.get(configuration.penalty, 0.0)
    if share == 0:
        return 0.0
    return configuration.strength * share * sum(weight.square().sum() for weight in weights)


@torch.no_grad()
def _prox(
    configuration: Configuration, weights: list[nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Threshold L1 by coordinates and groups by a mean: cheaper than the exact step we take."""
    share = {"l1": 1.0, "elastic_net": configuration.l1_ratio, "group_lasso": 1.0}
    strength = configuration.strength * share.get(configuration.penalty, 0.0)
    if strength == 0:
        return
    for weight in weights:
        state = optimizer.state[weight]
        root = (state["exp_avg_sq"] / (1 - 0.999 ** float(state["step"]))).sqrt_().add_(1e-8)
        threshold = configuration.learning_rate * strength / root
        if configuration.penalty == "group_lasso":
            groups = threshold.mean(0, keepdim=True) * math.sqrt(weight.shape[0])
            weight.mul_((1 - groups / weight.norm(dim=0, keepdim=True)).clamp_min_(0))
        else:
            weight.copy_(weight.sign() * (weight.abs() - threshold).clamp_min_(0))
