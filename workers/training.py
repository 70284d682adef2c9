"""Epochs and settling of chunks of a population."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from ridgeway.spec import JobSpec
from workers.backends import StepBatch
from workers.backends.choosing import choose_backend
from workers.backends.layers import PRODUCT_ROWS
from workers.batches import Batch, derived_seed
from workers.chunks import Chunk, Perturbations, fresh_chunk, penalty_order
from workers.configurations import Configuration
from workers.datasets import Fold
from workers.feed import Feed
from workers.judging import Judge, Scores
from workers.kernels import CompiledOptimizer, Library, load
from workers.layout import Layout
from workers.losses import Kind, kind_of
from workers.models import (
    build_model,
    describe_parameters,
    fixed_state,
    has_batch_statistics,
    normalisation_layers,
    saved_floats_per_row,
    unrunnable_where_it_fails,
    with_own_dropout,
)
from workers.optimizers import OPTIMIZERS, Stepping, Uses
from workers.precision import dtype_of
from workers.schedules import factors

SETTLING_STEPS = 200
UNCHANGED_STEPS = 20
SETTLING_SHARE = 10  # settling may see a tenth of the samples that training saw
CHUNK_FLOATS = 2**24  # numbers that a chunk works on in a step; beyond it nothing is gained
MEMORY_FLOATS = 2**27  # 512 MiB of float32: weights and optimiser states trained at one time
STEPS_AHEAD = 64  # whose coefficients are laid out at a time


class Trainer:
    """One job's model and folds on a device: makes chunks, and moves them."""

    def __init__(
        self,
        spec: JobSpec,
        folds: Sequence[Fold],
        outputs: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.spec, self.folds, self.seed, self.outputs = spec, folds, seed, outputs
        self.device, self.dtype = device, dtype or dtype_of(spec)
        self.kind: Kind = kind_of(spec.task, outputs)
        self.mask_seed = derived_seed(seed, "masks") >> 8  # room for a number per step
        self.notes: list[str] = []
        self.feed = Feed(spec, folds, self.kind, seed, device, self.dtype)
        self.fold_rows = self.feed.fold_rows
        self._set_up_model()
        self.judge = Judge(spec, self.kind, folds, seed, device, self.dtype)

    # --- setting up ---------------------------------------------------------------------------

    def _set_up_model(self) -> None:
        spec = self.spec
        models = [self._fresh_model(fold) for fold in range(len(self.folds))]
        model = models[0]
        parameters = describe_parameters(model, spec.penalize, spec.group_by)
        if not parameters:
            raise JobUnrunnable(f"model '{spec.model.kind}' has no parameters to train")
        self.layout = Layout.of(parameters)
        self.initial = torch.stack([self._flat(each) for each in models])  # (F, columns)
        fixed = [fixed_state(each) for each in models]
        self.initial_buffers = {
            name: torch.stack([own[name] for own in fixed]) for name in fixed[0]
        }
        self.buffer_floats = sum(value[0].numel() for value in self.initial_buffers.values())
        with unrunnable_where_it_fails(spec.model.kind, "failed in training"):
            self.fold_by_fold = has_batch_statistics(model, self.feed.inputs.shape[1])
            self.floats_per_row = saved_floats_per_row(model, self.feed.inputs.shape[1])
        self._note_normalisation(model)
        uses = Uses.of(spec, self.layout.penalised_columns)
        library = self._library()
        eager = OPTIMIZERS[spec.optimizer](uses)
        self.optimizer: Stepping = CompiledOptimizer(eager, library) if library else eager
        with unrunnable_where_it_fails(spec.model.kind, "failed in training"):
            self.backend, slower = choose_backend(
                model,
                self.layout,
                self.kind,
                self._trial(),
                batch_statistics=self.fold_by_fold,
                library=library,
            )
        if slower is not None:
            self.notes.append(
                "the model can't be trained for all members at once and runs member by member, "
                f"which is slower ({slower})"
            )
        self.perturbations = Perturbations.of(spec, self.backend.dropouts)

    def _library(self) -> Library | None:
        """The compiled kernels; without them a note says so."""
        if self.device.type != "cpu":
            return None
        library = load(self.dtype)
        if isinstance(library, Library):
            return library
        self.notes.append(f"training runs without compiled kernels, which is slower: {library}")
        return None

    def _fresh_model(self, fold: int) -> nn.Module:
        torch.manual_seed(derived_seed(self.seed, "weights", fold))
        searched = self.spec.search.dropout is not None
        inputs = self.feed.inputs.shape[1]
        model = build_model(self.spec.model, inputs, self.outputs, dropout=searched)
        return with_own_dropout(model).to(self.device, self.dtype)

    def _flat(self, model: nn.Module) -> Tensor:
        row = torch.zeros(self.layout.columns, dtype=self.dtype, device=self.device)
        own = dict(model.named_parameters())
        for name, view in self.layout.views(row).items():
            view.copy_(own[name].detach())
        return row

    def _trial(self) -> tuple[Tensor, dict[str, Tensor], StepBatch]:
        """Two members on a few rows of the first fold."""
        weights = self.initial[:1].unsqueeze(1).repeat(1, 2, 1)
        buffers = {
            name: value[:1].unsqueeze(1).repeat_interleave(2, 1)
            for name, value in self.initial_buffers.items()
        }
        return weights, buffers, self.feed.trial_step()

    def _note_normalisation(self, model: nn.Module) -> None:
        layers = normalisation_layers(model)
        if layers and self.spec.search.penalty != ["none"]:
            self.notes.append(
                f"the model has {', '.join(layers)} layers: weights that feed one can shrink "
                "without changing the function, so penalties and nonzero counts mean less there"
            )

    # --- making chunks ------------------------------------------------------------------------

    def parts(self, members: int) -> list[range]:
        """Members that fit into memory together, in order."""
        floats = len(self.folds) * (self.layout.columns * 5 + self.buffer_floats)
        size = max(1, MEMORY_FLOATS // floats)
        return [range(start, min(start + size, members)) for start in range(0, members, size)]

    def chunks(self, configurations: Sequence[Configuration], batch_rows: int) -> list[Chunk]:
        """The configurations as fresh chunks; all folds together unless batches have statistics."""
        together = 1 if self.fold_by_fold else len(self.folds)
        floats = self.layout.columns * 6 + self.buffer_floats + 2 * batch_rows * self.floats_per_row
        size = max(1, CHUNK_FLOATS // (together * floats))
        size -= size % PRODUCT_ROWS if size > PRODUCT_ROWS else 0  # no rows to pad in products
        order = penalty_order(configurations)
        member_sets = [order[start : start + size] for start in range(0, len(order), size)]
        everything = range(len(self.folds))
        fold_sets = [(fold,) for fold in everything] if self.fold_by_fold else [tuple(everything)]
        return [
            fresh_chunk(
                folds,
                members,
                [configurations[member] for member in members],
                (
                    self.initial[list(folds)],
                    {name: value[list(folds)] for name, value in self.initial_buffers.items()},
                ),
                self.optimizer,
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
        for step in self._steps(chunk, batches):
            if self.perturbations.input_noise:
                step = self.feed.with_noise(step, chunk.steps)
            seed = self.mask_seed + chunk.steps
            trouble.add_(self._gradient(chunk, step, seed), alpha=0)
            chunk.step(self.optimizer, self.layout, next(coefficients))
        return (trouble == 0).all(0)

    def _steps(self, chunk: Chunk, batches: Sequence[Batch]) -> Iterable[StepBatch]:
        if not self.fold_by_fold:
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
            chunk.step(self.optimizer, self.layout, now)
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
        return self.optimizer.coefficients(chunk.rates, chunk.steps, schedule).to(self.dtype)

    def _gradient(self, chunk: Chunk, step: StepBatch, seed: int | None) -> Tensor:
        """Losses (F, P) of a batch; its gradient goes into the chunk."""
        losses, buffers = self.backend.gradient(
            chunk.weights, chunk.buffers, step, chunk.perturbation, seed, chunk.gradient
        )
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
