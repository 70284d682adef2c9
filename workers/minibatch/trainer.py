"""Epochs and settling of chunks of a population."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ridgeway.jobs.plan import Engine
from ridgeway.spec.spec import JobSpec
from workers.backends import StepBatch
from workers.backends.layers import PRODUCT_ROWS
from workers.data.prepare import Fold
from workers.data.seeds import derived_seed
from workers.minibatch.batches import Batch, batch_width
from workers.minibatch.chunks import Chunk, Perturbations, fresh_chunk, penalty_order
from workers.minibatch.feed import Feed
from workers.minibatch.graphs import CudaCapture, Graphs
from workers.minibatch.program import Program
from workers.objectives.losses import Kind, kind_of
from workers.optimizers.precision import dtype_of, precision_note, products_of
from workers.optimizers.schedules import factors
from workers.population.configuration import Configuration
from workers.population.judging import Judge, Scores

SETTLING_STEPS = 200
UNCHANGED_STEPS = 20
SETTLING_SHARE = 10  # settling may see a tenth of the samples that training saw
# Numbers that a chunk works on in a step; beyond it nothing is gained.
CHUNK_FLOATS = {"cpu": 2**24, "cuda": 2**28}
MEMORY_FLOATS = 2**27  # 512 MiB of float32: weights and optimiser states trained at one time
STEPS_AHEAD = 64  # whose coefficients are laid out at a time


class Trainer:
    """One job's model and folds on a device: makes chunks, and moves them.

    engine: the one that it follows, which is the one asked for where that can be followed.
    together: members that share a chunk at most; may be set. It changes nobody's bits.
    """

    def __init__(
        self,
        spec: JobSpec,
        folds: Sequence[Fold],
        outputs: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.spec, self.folds, self.seed = spec, folds, seed
        self.device, self.dtype = device, dtype or dtype_of(spec)
        self.kind: Kind = kind_of(spec.task, outputs)
        self.mask_seed = derived_seed(seed, "masks") >> 8  # room for a number per step
        self.feed = Feed(spec, folds, self.kind, seed, device, self.dtype)
        self.fold_rows = self.feed.fold_rows
        self.program = Program(spec, self.feed, self.kind, outputs, seed, engine or Engine())
        self.layout, self.backend = self.program.layout, self.program.backend
        self.engine = Engine(
            device=device.type,
            backend=self.backend.name,
            compiled=self.program.compiled is not None,
        )
        self.notes = self.program.notes
        if note := precision_note(spec.precision, device):
            self.notes.append(note)
        self.perturbations = Perturbations.of(spec, self.backend.dropouts)
        self.judge = Judge(spec, self.kind, folds, seed, device, self.dtype)
        self.together = self._usual_together()
        on_gpu = device.type == "cuda" and self.backend.capturable
        self.graphs = Graphs(CudaCapture(device)) if on_gpu else None

    # --- making chunks ------------------------------------------------------------------------

    def parts(self, members: int) -> list[range]:
        """Members that fit into memory together, in order."""
        # Weights, gradient and state; early stopping keeps a second copy.
        copies = 8 if self.spec.early_stopping else 5
        floats = len(self.folds) * (self.layout.columns * copies + self.program.buffer_floats)
        size = max(1, _memory_floats(self.device) // floats)
        return [range(start, min(start + size, members)) for start in range(0, members, size)]

    def _usual_together(self) -> int:
        """Members whose step works on CHUNK_FLOATS numbers."""
        folds = 1 if self.program.fold_by_fold else len(self.folds)
        size = max(1, CHUNK_FLOATS[self.device.type] // (folds * self.member_floats))
        return size - size % PRODUCT_ROWS if size > PRODUCT_ROWS else size  # no rows to pad

    @property
    def member_floats(self) -> int:
        """Numbers that a step works on for one member and fold."""
        program, rows = self.program, batch_width(self.fold_rows, self.spec.batch_size)
        activations = 2 * rows * program.floats_per_row
        return self.layout.columns * 6 + program.buffer_floats + activations

    def chunks(self, configurations: Sequence[Configuration]) -> list[Chunk]:
        """The configurations as fresh chunks; all folds together unless batches have statistics."""
        order, size = penalty_order(configurations), self.together
        member_sets = [order[start : start + size] for start in range(0, len(order), size)]
        everything, apart = range(len(self.folds)), self.program.fold_by_fold
        fold_sets = [(fold,) for fold in everything] if apart else [tuple(everything)]
        return [
            fresh_chunk(
                folds,
                members,
                [configurations[member] for member in members],
                self.program.start(folds),
                self.program.optimizer,
                self.perturbations,
            )
            for members in member_sets
            for folds in fold_sets
        ]

    # --- moving them --------------------------------------------------------------------------

    def train_epoch(self, chunk: Chunk, batches: Sequence[Batch]) -> Tensor:
        """One epoch, in place; which members (P,) kept a finite loss at every step."""
        trouble = torch.zeros_like(chunk.weights[..., 0])  # (F, P): NaN once a loss isn't finite
        coefficients = self._coefficients_ahead(chunk, len(batches))
        take = partial(self.graphs.take, self._take_step) if self.graphs else self._take_step
        with products_of(self.spec.precision, self.device):
            for step in self._steps(chunk, batches):
                if self.perturbations.input_noise:
                    step = self.feed.with_noise(step, chunk.steps)
                seed = self.mask_seed + chunk.steps
                trouble.add_(take(chunk, step, next(coefficients), seed), alpha=0)
        return (trouble == 0).all(0)

    def _take_step(self, chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int) -> Tensor:
        """One step, in place; losses (F, P). No number comes back from the device."""
        losses = self._gradient(chunk, batch, seed)
        chunk.step(self.program.optimizer, self.layout, coefficients)
        return losses

    def _steps(self, chunk: Chunk, batches: Sequence[Batch]) -> Iterable[StepBatch]:
        if not self.program.fold_by_fold:
            return self.feed.epoch(batches, chunk.folds)
        (fold,) = chunk.folds
        return (self.feed.unpadded_step(batch, fold) for batch in batches if batch.sizes[fold])

    def _coefficients_ahead(self, chunk: Chunk, steps_per_epoch: int) -> Iterator[Tensor]:
        """The optimiser's for each of the chunk's next steps."""
        while True:
            count = min(STEPS_AHEAD, steps_per_epoch)
            yield from self._coefficients(chunk, count, steps_per_epoch)

    def settle(self, chunk: Chunk, steps_per_epoch: int) -> list[tuple[Chunk, bool]]:
        """Full-batch steps without dropout until the support stays the same.

        Chunks of the members that leave together, and whether they have settled.
        """
        last = self.layout.penalised_columns
        unchanged = torch.zeros(len(chunk.members), dtype=torch.int64, device=self.device)
        support = chunk.weights[..., :last] != 0
        left: list[tuple[Chunk, bool]] = []
        for _ in range(self.settling_limit):
            (now,) = self._coefficients(chunk, 1, steps_per_epoch)
            self._full_gradient(chunk)
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
        return min(SETTLING_STEPS, self.spec.epochs // SETTLING_SHARE)

    def _coefficients(self, chunk: Chunk, count: int, steps_per_epoch: int) -> Tensor:
        """The optimiser's for the chunk's next steps: (count, K, F * P, 1)."""
        schedule = factors(self.spec, chunk.steps, count, steps_per_epoch)
        coefficients = self.program.optimizer.coefficients(chunk.rates, chunk.steps, schedule)
        return coefficients.to(self.dtype)

    def _gradient(self, chunk: Chunk, step: StepBatch, seed: int | None) -> Tensor:
        """Losses (F, P) of a batch; its gradient goes into the chunk."""
        losses, buffers = self.backend.gradient(chunk.models(seed), step, chunk.gradient)
        if seed is not None:
            chunk.buffers = buffers
        return losses

    def _full_gradient(self, chunk: Chunk) -> None:
        """The gradient of the mean loss over all rows goes into the chunk."""
        first, *others = self.feed.epoch(self.feed.full_batches, chunk.folds)
        self._gradient(chunk, first, None)
        for step in others:
            total = chunk.gradient.clone()
            self._gradient(chunk, step, None)
            chunk.gradient.add_(total)

    # --- judging them -------------------------------------------------------------------------

    def evaluate(self, chunk: Chunk, *, with_errors: bool) -> Scores:
        """The objective on the validation rows; standard errors of a holdout where asked for."""
        return self.judge.scores(self.backend, chunk, with_errors=with_errors)

    def finite(self, chunk: Chunk) -> Tensor:
        """Which members (P,) have finite logits for all validation rows of all their folds."""
        return self.judge.finite(self.backend, chunk)


def _memory_floats(device: torch.device) -> int:
    """Of weights and optimiser states that train at one time: half of a GPU's free memory."""
    if device.type != "cuda":
        return MEMORY_FLOATS
    free, _ = torch.cuda.mem_get_info(device)
    return max(MEMORY_FLOATS, free // 8)
