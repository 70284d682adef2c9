"""Call Ridgeway's engine for benchmarks: all that they know of its inside is here."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from models import OUTPUTS, Task
from torch import Tensor, nn

from ridgeway.settings import Settings
from workers.backends.compiled import Compiled
from workers.data.seeds import derived_seed
from workers.kernels import Library, load
from workers.loop.introducing import sizes_of
from workers.minibatch.batches import Batch, Minibatches
from workers.minibatch.planner import measured_together, pays_to_compile
from workers.minibatch.trainer import Trainer
from workers.models.building import build_model
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.train import train

SEED = 0


class Population:
    """Trains a task's model under many configurations, without any evaluation."""

    def __init__(
        self, task: Task, configurations: Sequence[Configuration], trainer: Trainer
    ) -> None:
        self.trainer = trainer
        problem = trainer.problem
        rows, batch = problem.fold_rows, task.spec.batch_size
        self.minibatches = Minibatches(rows, batch, SEED, problem.device)
        self.trainer.together = len(configurations)
        self.chunks = self.trainer.chunks(configurations)
        self.members = len(configurations)
        self.left: list[Batch] = []

    def train(self, count: int) -> int:
        """Train on the next batches of an epoch, at most so many; return the model-steps made."""
        self.left = self.left or self.minibatches.epoch()
        batches, self.left = self.left[:count], self.left[count:]
        for chunk in self.chunks:
            self.trainer.train_epoch(chunk, batches)
        return len(batches) * self.members

    @contextmanager
    def timed(self, clock: Callable[[], float]) -> Iterator[dict[str, float]]:
        """Sum seconds in `gradient` (both passes) and in `optimizer` (with the proximal step)."""
        spent = {"gradient": 0.0, "optimizer": 0.0}

        def timing(function: Callable[..., Any], part: str) -> Callable[..., Any]:
            def timed(*arguments: Any) -> Any:
                started = clock()
                answer = function(*arguments)
                spent[part] += clock() - started
                return answer

            return timed

        backend: Any = self.trainer.backend
        backend.gradient = timing(backend.gradient, "gradient")
        for chunk in self.chunks:
            vars(chunk)["step"] = timing(chunk.step, "optimizer")
        yield spent
        del backend.gradient
        for chunk in self.chunks:
            del vars(chunk)["step"]

    def settling_share(self, clock: Callable[[], float]) -> float:
        """Return the time in which sparse members settle, as a share of the training's before."""
        self.left = []
        started = clock()
        self.train(self.minibatches.steps)
        trained = (clock() - started) * self.trainer.problem.spec.epochs
        sparse = [chunk.keep(chunk.settles) for chunk in self.chunks if any(chunk.settles)]
        started = clock()
        for chunk in sparse:
            self.trainer.settle(chunk, self.minibatches.steps)
        return (clock() - started) / trained

    def member_bytes(self) -> dict[str, int]:
        """Count bytes from tensors; activations are what autograd keeps for a member's batch."""
        chunk = self.chunks[0]
        models = len(chunk.folds) * len(chunk.members)
        weights = _bytes([chunk.weights, *chunk.buffers.values()])
        activations = self.trainer.program.floats_per_row * self.minibatches.width
        return {
            "weights": weights // models,
            "optimizer": _bytes(chunk.state) // models,
            "gradient": _bytes([chunk.gradient]) // models,
            "activations": activations * chunk.weights.element_size(),
        }


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def planned_trainer(task: Task, device: torch.device, trials: int) -> tuple[Trainer, float]:
    """Make a job's trainer as a worker would; return seconds of compiling its step, too."""
    spec = task.spec.model_copy(update={"trials": trials})
    problem = Problem(spec, [task.fold], OUTPUTS, device)
    trainer = Trainer(problem)
    if not pays_to_compile(trainer, sizes_of(Settings(), device).most):
        return trainer, 0.0
    engine = trainer.engine.model_copy(update={"backend": Compiled.name})
    with nothing_kept("TORCHINDUCTOR_CACHE_DIR"):
        started = time.perf_counter()
        trainer = Trainer(replace(problem, engine=engine))
        return trainer, time.perf_counter() - started


def planned_members(trainer: Trainer, configurations: Sequence[Configuration]) -> int | None:
    """Return how many members the planner puts side by side; None where it has no choice."""
    return measured_together(trainer, configurations)


def compile_seconds() -> float:
    """Return the wall time of compiling the kernels for float32."""
    with nothing_kept("XDG_CACHE_HOME"):
        started = time.perf_counter()
        found = load.__wrapped__(torch.float32)
        seconds = time.perf_counter() - started
    return seconds if isinstance(found, Library) else math.nan


@contextmanager
def nothing_kept(variable: str) -> Iterator[None]:
    """Make the cache folder that an environment variable names a fresh one."""
    before = os.environ.get(variable)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[variable] = folder
        try:
            yield
        finally:
            del os.environ[variable]
            os.environ |= {} if before is None else {variable: before}


def fresh_model(task: Task) -> nn.Module:
    """Return the model with the weights that members of the population start from."""
    torch.manual_seed(derived_seed(SEED, "weights", 0))
    return build_model(task.spec.model, task.fold.train_inputs.shape[1], OUTPUTS)


def losses_after_epoch(
    task: Task, configurations: Sequence[Configuration], device: torch.device, dtype: torch.dtype
) -> list[float]:
    """Return each member's validation loss after one epoch (too few for any settling)."""
    precision = "float64" if dtype == torch.float64 else "float32"
    spec = task.spec.model_copy(update={"epochs": 1, "precision": precision})
    problem = Problem(spec, [task.fold], OUTPUTS, device)
    return train(problem, configurations).values.tolist()


def first_batches(task: Task, device: torch.device) -> list[Tensor]:
    """Return the rows of each step of that epoch."""
    minibatches = Minibatches([task.rows], task.spec.batch_size, SEED, device)
    return [batch.rows[0, : batch.sizes[0]] for batch in minibatches.epoch()]
