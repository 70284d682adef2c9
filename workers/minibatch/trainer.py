"""Any model by minibatches: epochs and settling of chunks of a population."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ridgeway.jobs.plan import Engine
from workers.backends import StepBatch
from workers.backends.layers import PRODUCT_ROWS
from workers.data.seeds import derived_seed
from workers.headway import tell
from workers.heeding import heed
from workers.minibatch import planner
from workers.minibatch.batches import Batch, batch_width
from workers.minibatch.chunks import Chunk, Perturbations, fresh_chunk, penalty_order
from workers.minibatch.feed import Feed
from workers.minibatch.graphs import CudaCapture, Graphs
from workers.minibatch.part import Part
from workers.minibatch.program import Program
from workers.optimizers.precision import precision_note, products_of
from workers.optimizers.schedules import factors
from workers.population.configuration import Configuration
from workers.population.judging import Judge
from workers.population.memory import free_floats
from workers.population.problem import Problem
from workers.population.roll import Roll
from workers.population.solver import MEMORY_FLOATS, Solver
from workers.population.state import PartState

SETTLING_STEPS = 200
UNCHANGED_STEPS = 20
# Numbers that a chunk works on in a step; beyond it nothing is gained.
CHUNK_FLOATS = {"cpu": 2**24, "cuda": 2**28}
STEPS_AHEAD = {"cpu": 64, "cuda": 128}  # whose coefficients are laid out at a time


class Trainer(Solver):
    """Makes chunks of members that share steps, and moves them."""

    def __init__(self, problem: Problem) -> None:
        """Build the model and choose how to compute it; JobUnrunnable where that fails."""
        device, spec = problem.device, problem.spec
        self.problem = problem
        self.mask_seed = derived_seed(problem.seed, "masks") >> 8  # room for a number per step
        self.feed = Feed(problem)
        self.program = Program(problem, self.feed)
        self.layout, self.backend = self.program.layout, self.program.backend
        self.buffers = {
            name: value
            for name, value in self.program.initial_buffers.items()
            if name not in self.backend.dropouts
        }
        self.engine = Engine(
            device=device.type,
            backend=self.backend.name,
            compiled=self.program.compiled is not None,
        )
        self.notes = self.program.notes
        if note := precision_note(spec.precision, device):
            self.notes.append(note)
        self.perturbations = Perturbations.of(spec, self.backend.dropouts)
        self.judge = Judge(problem, self.backend)
        self.together = self._usual_together()
        on_gpu = device.type == "cuda" and self.backend.capturable
        self.graphs = Graphs(CudaCapture(device)) if on_gpu else None
        # By chunk the number of its last block of coefficients, and the block (S, K, F * P, 1).
        self._laid_out: WeakKeyDictionary[Chunk, tuple[int, Tensor]] = WeakKeyDictionary()

    # --- what a run asks ----------------------------------------------------------------------

    @property
    def most_in_memory(self) -> int:
        return max(1, _memory_floats(self.problem) // self._kept_floats)

    @property
    def member_bytes(self) -> int:
        if self.problem.device.type != "cpu":  # where it leaves its weights alone
            return self._kept_floats * self.problem.dtype.itemsize
        at_once = 1 if self.program.fold_by_fold else len(self.problem.folds)
        floats = self._kept_floats + at_once * self.member_floats
        return floats * self.problem.dtype.itemsize

    @property
    def _kept_floats(self) -> int:
        """Numbers that one member has on all folds between two steps."""
        # Weights, gradient and state; early stopping keeps a second copy.
        copies = 8 if self.problem.spec.early_stopping else 5
        each = self.layout.columns * copies + self.program.buffer_floats
        return len(self.problem.folds) * each

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that a member takes in an epoch."""
        return self.problem.steps_per_epoch

    def begin(self, members: Sequence[Configuration], state: PartState, roll: Roll) -> Part:
        return Part(self, members, state, roll)

    def rate_steps(self) -> np.ndarray:
        spec, each = self.problem.spec, self.steps_per_epoch
        return np.cumsum(factors(spec, 0, spec.epochs * each, each)[1:])[each - 1 :: each]

    def worth_measuring(self, members: int) -> bool:
        return members >= planner.LEAST_MEASURED

    def shape(self) -> str:
        return planner.shape_of(self)

    def measured_together(self, members: Sequence[Configuration]) -> int | None:
        return planner.measured_together(self, members)

    def engine_for(self, population: int) -> Engine:
        return planner.engine_for(self, population)

    # --- making chunks ------------------------------------------------------------------------

    def _usual_together(self) -> int:
        """Return how many members' steps work on CHUNK_FLOATS numbers."""
        folds = 1 if self.program.fold_by_fold else len(self.problem.folds)
        size = CHUNK_FLOATS[self.problem.device.type] // (folds * self.member_floats)
        size = max(1, size)
        return size - size % PRODUCT_ROWS if size > PRODUCT_ROWS else size  # no rows to pad

    @property
    def member_floats(self) -> int:
        """Numbers that a step works on for one member and fold."""
        program, problem = self.program, self.problem
        rows = batch_width(problem.fold_rows, problem.spec.batch_size)
        activations = 2 * rows * program.floats_per_row
        return self.layout.columns * 6 + program.buffer_floats + activations

    def chunks(self, members: Sequence[Configuration]) -> list[Chunk]:
        """Return fresh chunks; all folds together unless batches have statistics."""
        order, size = penalty_order(members), self.together
        member_sets = [order[start : start + size] for start in range(0, len(order), size)]
        everything, apart = range(len(self.problem.folds)), self.program.fold_by_fold
        fold_sets = [(fold,) for fold in everything] if apart else [tuple(everything)]
        return [
            fresh_chunk(
                folds,
                places,
                [members[place] for place in places],
                self.program.start(folds),
                self.program.optimizer,
                self.perturbations,
            )
            for places in member_sets
            for folds in fold_sets
        ]

    # --- moving them --------------------------------------------------------------------------

    def train_epoch(self, chunk: Chunk, batches: Sequence[Batch]) -> Tensor:
        """Train one epoch, in place; return which members (P,) kept a finite loss throughout."""
        trouble = torch.zeros_like(chunk.weights[..., 0])  # (F, P): NaN once a loss isn't finite
        take = partial(self.graphs.take, self.take_step) if self.graphs else self.take_step
        with products_of(self.problem.spec.precision, self.problem.device):
            for taken, step in enumerate(self.steps(chunk, batches), start=1):
                heed()
                if self.perturbations.input_noise:
                    step = self.feed.with_noise(step, chunk.steps)
                seed = self.mask_seed + chunk.steps
                coefficients = self.next_coefficients(chunk, len(batches))
                trouble.add_(take(chunk, step, coefficients, seed), alpha=0)
                tell(taken / len(batches))
        return (trouble == 0).all(0)

    def take_step(self, chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int) -> Tensor:
        """Take one step, in place; return losses (F, P). No number comes back from the device."""
        losses = self._gradient(chunk, batch, seed)
        chunk.step(self.program.optimizer, self.layout, coefficients)
        return losses

    def steps(self, chunk: Chunk, batches: Sequence[Batch]) -> Iterable[StepBatch]:
        if not self.program.fold_by_fold:
            return self.feed.epoch(batches, chunk.folds)
        (fold,) = chunk.folds
        return (self.feed.unpadded_step(batch, fold) for batch in batches if batch.sizes[fold])

    def next_coefficients(self, chunk: Chunk, steps_per_epoch: int) -> Tensor:
        """Return the optimiser's coefficients for the chunk's next step: (K, F * P, 1).

        They are laid out for many steps, the same ones whatever step a training goes on from: the
        last bits of a power may depend on where in a tensor it is taken.
        """
        ahead = STEPS_AHEAD[self.problem.device.type]
        number, place = divmod(chunk.steps, ahead)
        known = self._laid_out.get(chunk)
        if known is None or known[0] != number:
            rows = self.coefficients(chunk, number * ahead, ahead, steps_per_epoch)
            known = self._laid_out[chunk] = (number, rows)
        return known[1][place]

    def settle(self, chunk: Chunk, steps_per_epoch: int) -> list[tuple[Chunk, bool]]:
        """Take full-batch steps without dropout until the support stays the same.

        Return chunks of the members that leave together, and whether they have settled.
        """
        last = self.layout.penalised_columns
        unchanged = torch.zeros(len(chunk.members), dtype=torch.int64, device=chunk.weights.device)
        support = chunk.weights[..., :last] != 0
        left: list[tuple[Chunk, bool]] = []
        for _ in range(self.settling_limit):
            heed()
            (now,) = self.coefficients(chunk, chunk.steps, 1, steps_per_epoch)
            self.full_gradient(chunk)
            chunk.step(self.program.optimizer, self.layout, now)
            before, support = support, chunk.weights[..., :last] != 0
            same = (support == before).all(-1).all(0)
            unchanged = torch.where(same, unchanged + 1, 0)
            done = unchanged >= UNCHANGED_STEPS
            if done.any():
                left.append((chunk.keep(done.tolist()), True))
                chunk = chunk.keep((~done).tolist())
                support, unchanged = support[:, ~done], unchanged[~done]
            if not chunk.members:
                return left
        return [*left, (chunk, False)]

    @property
    def settling_limit(self) -> int:
        """Most full-batch steps of settling."""
        return min(SETTLING_STEPS, int(self.problem.spec.epochs * self.problem.settling_share))

    def coefficients(
        self, chunk: Chunk, first_step: int, count: int, steps_per_epoch: int
    ) -> Tensor:
        """Return the optimiser's coefficients for some of the chunk's steps: (count, K, F * P, 1).

        first_step: counted from 0.
        """
        schedule = factors(self.problem.spec, first_step, count, steps_per_epoch)
        coefficients = self.program.optimizer.coefficients(chunk.rates, first_step, schedule)
        return coefficients.to(chunk.weights.dtype)

    def _gradient(self, chunk: Chunk, step: StepBatch, seed: int | None) -> Tensor:
        """Return losses (F, P) of a batch; its gradient goes into the chunk."""
        losses, buffers = self.backend.gradient(chunk.models(seed), step, chunk.gradient)
        if seed is not None:
            chunk.buffers = buffers
        return losses

    def full_gradient(self, chunk: Chunk) -> None:
        """Put the gradient of the mean loss over all rows into the chunk."""
        steps = iter(self.feed.epoch(self.feed.full_batches, chunk.folds))
        self._gradient(chunk, next(steps), None)
        for step in steps:  # one at a time: of a file all of them together need not fit into memory
            heed()
            total = chunk.gradient.clone()
            self._gradient(chunk, step, None)
            chunk.gradient.add_(total)


def _memory_floats(problem: Problem) -> int:
    """Return how many numbers may train at one time: half of a GPU's free memory."""
    if problem.device.type != "cuda":
        return min(MEMORY_FLOATS, free_floats(problem.dtype.itemsize))
    free, _ = torch.cuda.mem_get_info(problem.device)
    return max(MEMORY_FLOATS, free // 8)
