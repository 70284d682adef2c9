"""P members trained as one torch program: on every fold to be scored, or on one to be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch

from ridgeway.jobs.plan import Engine
from ridgeway.spec.spec import JobSpec
from workers.data.prepare import Fold
from workers.fullbatch.solver import refit_convex, train_convex
from workers.minibatch.parts import Part, PartState
from workers.minibatch.trainer import Trainer
from workers.models.building import predict
from workers.optimizers.precision import exact_products
from workers.population.configuration import Configuration
from workers.population.ledgers import Ledger, ScoredLedger
from workers.population.results import PopulationResult, TrainedModels, models_of, result_of
from workers.population.run import PopulationState, Run, Watch

__all__ = [
    "PopulationResult",
    "PopulationState",
    "TrainedModels",
    "Watch",
    "own_generators",
    "predict",
    "refit_population",
    "train_members",
    "train_population",
]


@exact_products()
def train_population(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    folds: Sequence[Fold],
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
    watch: Watch | None = None,
) -> PopulationResult:
    """Train every configuration on every fold. A member is bitwise the same in any company.

    on_epoch(done, of) is called after each epoch; what it raises ends the training. Where members
    don't fit into memory together they train in parts, and `of` counts the epochs of all parts.
    JobUnrunnable where the model can't be built or trained; MemoryError where no member fits alone.
    """
    if spec.optimizer == "fista":
        return train_convex(
            spec, configurations, folds, outputs,
            seed=seed, device=device, dtype=dtype, on_epoch=on_epoch, watch=watch or Watch(),
        )  # fmt: skip
    with own_generators(device):
        trainer = Trainer(spec, folds, outputs, seed, device, dtype)
    return train_members(trainer, configurations, on_epoch, watch or Watch())


@exact_products()
def train_members(
    trainer: Trainer,
    configurations: Sequence[Configuration],
    on_epoch: Callable[[int, int], None],
    watch: Watch,
) -> PopulationResult:
    """train_population by a trainer that may have trained others before."""
    with own_generators(trainer.device):
        ledger = ScoredLedger(trainer, len(configurations))
        _train(trainer, configurations, ledger, on_epoch, watch)
        return result_of(trainer, ledger)


@exact_products()
def refit_population(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    fold: Fold,
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    epochs: Sequence[int] | None = None,
    dtype: torch.dtype | None = None,
    engine: Engine | None = None,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
    watch: Watch | None = None,
) -> TrainedModels:
    """Train every configuration on one fold without scoring any: bitwise train_population's models.

    epochs: how long each configuration trains, under a schedule over the spec's epochs; so many by
    default. engine: the job's. Divergence shows in the training loss, and at the end in logits for
    the fold's validation rows that are not finite. on_epoch and errors as in train_population.
    """
    if spec.optimizer == "fista":
        return refit_convex(
            spec, configurations, fold, outputs,
            seed=seed, device=device, dtype=dtype, on_epoch=on_epoch, watch=watch or Watch(),
        )  # fmt: skip
    with own_generators(device):
        trainer = Trainer(spec, [fold], outputs, seed, device, dtype, engine)
        ledger = Ledger(trainer, epochs or [spec.epochs] * len(configurations))
        _train(trainer, configurations, ledger, on_epoch, watch or Watch())
        return models_of(trainer, ledger)


def _train(
    trainer: Trainer,
    configurations: Sequence[Configuration],
    ledger: Ledger,
    on_epoch: Callable[[int, int], None],
    watch: Watch,
) -> None:
    def begin(state: PartState) -> Part:
        return Part(trainer, configurations, state, ledger)

    Run(trainer, begin, ledger, on_epoch, watch).finish()


def own_generators(device: torch.device) -> AbstractContextManager[None]:
    """Seeds set inside are undone outside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
