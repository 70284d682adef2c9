"""Measurements of a device: how many members share a step best, whether to compile one."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

import torch

from ridgeway.jobs.plan import Engine
from ridgeway.spec.names import UNPENALISED
from workers.backends import InTurn, Mapped
from workers.backends.compiled import BLOCK_MEMBERS, Compiled
from workers.minibatch.batches import Batch, Minibatches
from workers.minibatch.chunks import Chunk
from workers.minibatch.graphs import EAGER_STEPS
from workers.population.configuration import Configuration
from workers.population.run import is_out_of_memory

if TYPE_CHECKING:
    from workers.minibatch.trainer import Trainer

SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
LEAST_MEASURED = SIZES[0]  # a smaller population shows nothing
LEAST_GAIN = 0.05  # of the time per member; two doublings in a row that gain less are the last
STEPS = 2
ROUNDS = 3  # the fastest counts: what else the machine does only ever adds
LONG_SECONDS = 30.0  # a job that trains for less does not pay for measuring
COMPILED_SECONDS = 300.0  # a job that trains for less does not pay for compiling its step
LEAST_FILLED = 0.8  # of a compiled step's blocks of members, or most of the gain is lost
MEASURING_SHARE = 0.02  # of the job's training


def shape_of(trainer: Trainer) -> str:
    """Return a digest of all that the best size depends on beside the device."""
    program, problem = trainer.program, trainer.problem
    spec = problem.spec
    known = (
        [(slot.shape, slot.penalised) for slot in trainer.layout.slots],
        program.floats_per_row,
        program.buffer_floats,
        (len(problem.folds), min(spec.batch_size, max(problem.fold_rows))),
        (trainer.backend.name, spec.optimizer, spec.precision, program.compiled is not None),
        torch.__version__,
    )
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


def measured_together(trainer: Trainer, configurations: Sequence[Configuration]) -> int | None:
    """Measure at how many members that share a step one member's time stops falling.

    None where it is not worth measuring: for models trained in turn, and for jobs that train for
    less than LONG_SECONDS. A size that does not fit into memory is beyond the last.
    """
    if isinstance(trainer.backend, InTurn):
        return None
    batches = _first_batches(trainer)
    best, fastest = None, math.inf
    started, allowed = time.perf_counter(), 0.0
    for size in SIZES:
        seconds = seconds_per_member(trainer, list(islice(cycle(configurations), size)), batches)
        if best is None:
            job_seconds = seconds * _member_steps(trainer)
            if job_seconds < LONG_SECONDS:
                return None
            allowed = MEASURING_SHARE * job_seconds
        if math.isinf(seconds):
            break
        if seconds <= fastest * (1 - LEAST_GAIN):
            best, fastest = size, seconds
        elif best is None or size > 2 * best:  # once may be due to what else the machine does
            break
        # The next size takes as long as all before it.
        if 2 * (time.perf_counter() - started) > allowed:
            break
    return best


def pays_to_compile(trainer: Trainer, population: int) -> bool:
    """Return whether a job of such populations trains long enough to compile its step."""
    spec = trainer.problem.spec
    rounds = spec.precision not in ("float32", "float64")  # which a compiled step would not
    if type(trainer.backend) is not Mapped or trainer.problem.device.type != "cpu" or rounds:
        return False
    blocks = math.ceil(population / BLOCK_MEMBERS)
    if population < LEAST_FILLED * blocks * BLOCK_MEMBERS:
        return False
    members = [Configuration(UNPENALISED, 0.0, 0.5, 1e-3, 0.0)] * LEAST_MEASURED
    seconds = seconds_per_member(trainer, members, _first_batches(trainer))
    return seconds * _member_steps(trainer) > COMPILED_SECONDS


def engine_for(trainer: Trainer, population: int) -> Engine:
    """Return the engine for a job whose populations have so many members."""
    if not pays_to_compile(trainer, population):
        return trainer.engine
    return trainer.engine.model_copy(update={"backend": Compiled.name})


def _first_batches(trainer: Trainer) -> list[Batch]:
    problem, feed = trainer.problem, trainer.feed
    rows, size = problem.fold_rows, problem.spec.batch_size
    return Minibatches(rows, size, problem.seed, feed.home, feed.block).epoch()[:STEPS]


def _member_steps(trainer: Trainer) -> int:
    """Return how many steps a member of the job takes, all trials together."""
    spec = trainer.problem.spec
    return trainer.steps_per_epoch * spec.epochs * spec.trials


def seconds_per_member(
    trainer: Trainer, members: Sequence[Configuration], batches: Sequence[Batch]
) -> float:
    """Time one step on all folds; infinite where so many don't fit into memory."""
    usual, trainer.together = trainer.together, len(members)
    try:
        chunks = trainer.chunks(members)
        eager = 1 if trainer.graphs is None else EAGER_STEPS + 1  # steps before the usual speed
        for _ in range(0, eager, len(batches)):
            _train(trainer, chunks, batches)
        rounds = [_train(trainer, chunks, batches) for _ in range(ROUNDS)]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return math.inf
    finally:
        trainer.together = usual
    return min(rounds) / len(batches) / len(members)


def _train(trainer: Trainer, chunks: Sequence[Chunk], batches: Sequence[Batch]) -> float:
    """Train some steps; return the wall seconds, with a GPU's work done."""
    started = time.perf_counter()
    for chunk in chunks:
        trainer.train_epoch(chunk, batches).tolist()
    return time.perf_counter() - started
