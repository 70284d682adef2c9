"""Epochs, evaluation and settling of chunks of a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from ridgeway.spec import PENALTIES, JobSpec, LinearModel, MlpModel
from workers.batches import Batch, aligned, derived_seed
from workers.chunks import Chunk, penalty_terms
from workers.configurations import Configuration
from workers.datasets import Fold
from workers.layout import Layout
from workers.losses import Kind, finite, kind_of, row_losses
from workers.metrics import bootstrap_error, score
from workers.models import (
    ROWS_AT_ONCE,
    build_model,
    describe_parameters,
    fixed_state,
    has_batch_statistics,
    normalisation_layers,
    saved_floats_per_row,
    unrunnable_where_it_fails,
)
from workers.optimizers import OPTIMIZERS
from workers.penalties import penalties_of
from workers.stacking import Dense, InTurn, Mapped, StackedModel

SETTLING_STEPS = 200
UNCHANGED_STEPS = 20
SETTLING_SHARE = 10  # settling may see a tenth of the samples that training saw
CHUNK_FLOATS = 2**22  # numbers that a chunk works on between two steps; beyond it nothing is gained
MEMORY_FLOATS = 2**27  # 512 MiB of float32: weights and optimiser states trained at one time


@dataclass(frozen=True)
class Scores:
    """What a chunk's members reach on the validation rows.

    values (P, F) in the target's own units; errors (P,) of a single holdout, else NaN; healthy
    (P,): all logits finite.
    """

    values: Tensor
    errors: Tensor
    healthy: Tensor


class Trainer:
    """One job's model and folds on a device: makes chunks, and moves them."""

    def __init__(
        self,
        spec: JobSpec,
        folds: Sequence[Fold],
        outputs: int,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.spec, self.folds, self.seed, self.outputs = spec, folds, seed, outputs
        self.kind: Kind = kind_of(spec.task, outputs)
        self.mask_seed = derived_seed(seed, "masks") >> 8  # room for a number per step
        self.device, self.dtype = device, dtype
        models = [self._fresh_model(fold) for fold in range(len(folds))]
        model = models[0]
        parameters = describe_parameters(model, spec.penalize, spec.group_by)
        if not parameters:
            raise JobUnrunnable(f"model '{spec.model.kind}' has no parameters to train")
        self.layout = Layout.of(parameters)
        self.penalties = dict(penalties_of(self.layout.groups, spec.l1_method))
        self.initial = torch.stack([self._flat(each) for each in models])  # (F, columns)
        fixed = [fixed_state(each) for each in models]
        self.initial_buffers = {
            name: torch.stack([own[name] for own in fixed]) for name in fixed[0]
        }
        self.buffer_floats = sum(value[0].numel() for value in self.initial_buffers.values())
        with unrunnable_where_it_fails(spec.model.kind, "failed in training"):
            self.fold_by_fold = has_batch_statistics(model, folds[0].train_inputs.shape[1])
            self.floats_per_row = saved_floats_per_row(model, folds[0].train_inputs.shape[1])
        self.inputs = torch.cat([fold.train_inputs for fold in folds]).to(device, dtype)
        self.targets = self._trained(torch.cat([fold.train_targets for fold in folds]))
        self.fold_rows = [len(fold.train_targets) for fold in folds]
        self.full_batches = self._full_batches()
        self.valid_inputs = self._padded([fold.valid_inputs for fold in folds])  # (F, m, d)
        self.valid_targets = [fold.valid_targets.to(device) for fold in folds]
        self.notes: list[str] = []
        self._note_normalisation(model)
        self.stacked = self._stacked(model)

    # --- making chunks ------------------------------------------------------------------------

    def parts(self, members: int) -> list[range]:
        """Members that fit into memory together, in order."""
        floats = len(self.folds) * (self.layout.columns * 4 + self.buffer_floats)
        size = max(1, MEMORY_FLOATS // floats)
        return [range(start, min(start + size, members)) for start in range(0, members, size)]

    def chunks(self, configurations: Sequence[Configuration], batch_rows: int) -> list[Chunk]:
        """The configurations as fresh chunks; all folds together unless batches have statistics."""
        together = 1 if self.fold_by_fold else len(self.folds)
        floats = self.layout.columns * 6 + self.buffer_floats + 2 * batch_rows * self.floats_per_row
        size = max(1, CHUNK_FLOATS // (together * floats))
        rank = {name: PENALTIES.index(name) for name in PENALTIES}
        order = sorted(range(len(configurations)), key=lambda m: rank[configurations[m].penalty])
        member_sets = [order[start : start + size] for start in range(0, len(order), size)]
        everything = range(len(self.folds))
        fold_sets = [(fold,) for fold in everything] if self.fold_by_fold else [tuple(everything)]
        return [
            self._chunk(fold_set, member_set, configurations)
            for member_set in member_sets
            for fold_set in fold_sets
        ]

    def _chunk(
        self, folds: Sequence[int], members: Sequence[int], configurations: Sequence[Configuration]
    ) -> Chunk:
        own = tuple(configurations[member] for member in members)
        weights = self.initial[list(folds)].unsqueeze(1).repeat(1, len(own), 1)
        optimizer = OPTIMIZERS[self.spec.optimizer](
            self._column([c.learning_rate for c in own]),
            self._column([c.weight_decay for c in own]),
        )
        return Chunk(
            folds=tuple(folds),
            members=tuple(members),
            configurations=own,
            terms=penalty_terms(own, self.penalties, weights),
            weights=weights,
            buffers={
                name: value[list(folds)].repeat_interleave(len(own), 0)
                for name, value in self.initial_buffers.items()
            },
            optimizer=optimizer,
            state=optimizer.init(weights),
        )

    def _column(self, numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=self.device).unsqueeze(1)

    # --- moving them --------------------------------------------------------------------------

    def train_epoch(self, chunk: Chunk, batches: Sequence[Batch], first_step: int) -> Tensor:
        """One epoch, in place; which members (P,) kept a finite loss at every step."""
        healthy = torch.ones(len(chunk.folds) * len(chunk.members), dtype=torch.bool)
        healthy = healthy.to(self.device)
        for step, batch in enumerate(batches, start=first_step):
            if self.fold_by_fold and not batch.sizes[chunk.folds[0]]:
                continue
            seed = self.mask_seed + step
            losses, gradient, chunk.buffers = self._gradient(chunk, batch, seed)
            healthy &= torch.isfinite(losses)
            chunk.step(gradient, self.layout)
        return healthy.view(len(chunk.folds), -1).all(0)

    def settle(self, chunk: Chunk) -> list[tuple[Chunk, bool]]:
        """Full-batch steps without dropout until the support stays the same.

        Chunks of the members that leave together, and whether they have settled.
        """
        last = self.layout.penalised_columns
        unchanged = torch.zeros(len(chunk.members), dtype=torch.int64, device=self.device)
        support = chunk.weights[..., :last] != 0
        left: list[tuple[Chunk, bool]] = []
        for _ in range(self.settling_limit):
            chunk.step(self._full_gradient(chunk), self.layout)
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

    def _gradient(
        self, chunk: Chunk, batch: Batch, seed: int | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        folds = list(chunk.folds)
        rows, row_weights = batch.rows[folds], batch.weights[folds].to(self.dtype)
        if self.fold_by_fold and seed is not None:
            rows, row_weights = (
                rows[:, : batch.sizes[folds[0]]],
                row_weights[:, : batch.sizes[folds[0]]],
            )
        members = len(chunk.members)
        data = (
            self._per_member(self.inputs[rows], members),
            self._per_member(self.targets[rows], members),
            self._per_member(row_weights, members),
        )
        losses, gradient, buffers = self.stacked.gradient(
            chunk.weights.flatten(0, 1), chunk.buffers, data, self._row_losses, seed
        )
        return losses, gradient.view(chunk.weights.shape), buffers

    def _full_gradient(self, chunk: Chunk) -> Tensor:
        gradients = (self._gradient(chunk, batch, None)[1] for batch in self.full_batches)
        total = next(gradients)
        for gradient in gradients:
            total += gradient
        return total

    def _row_losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        return row_losses(self.kind, logits, targets)

    @staticmethod
    def _per_member(rows: Tensor, members: int) -> Tensor:
        """(F, B, ...) to (F * P, B, ...)."""
        shape = (rows.shape[0], members, *rows.shape[1:])
        return rows.unsqueeze(1).expand(shape).flatten(0, 1).contiguous()

    # --- judging them -------------------------------------------------------------------------

    def evaluate(self, chunk: Chunk, *, with_errors: bool) -> Scores:
        """The objective on the validation rows; standard errors of a holdout where asked for."""
        logits = self._valid_logits(chunk)
        values: list[Tensor] = []
        errors = torch.full((len(chunk.members),), torch.nan, dtype=torch.float64)
        healthy = torch.ones(len(chunk.members), dtype=torch.bool, device=self.device)
        for position, number in enumerate(chunk.folds):
            fold, targets = self.folds[number], self.valid_targets[number]
            own = logits[position, :, : len(targets)]  # (P, m, outputs)
            healthy &= finite(own)
            if self.kind == "regression":
                own = fold.target_mean + fold.target_scale * own.double()
            metric, task = self.spec.objective, self.spec.task
            values.append(score(metric, own, targets, task))
            if with_errors and len(self.folds) == 1:
                groups, seed = fold.valid_groups, derived_seed(self.seed, "bootstrap")
                errors = bootstrap_error(metric, own, targets, groups, seed, task)
        return Scores(torch.stack(values, 1).cpu(), errors.cpu(), healthy.cpu())

    def finite(self, chunk: Chunk) -> Tensor:
        """Which members (P,) have finite logits for all validation rows of all their folds."""
        rows = [len(self.valid_targets[number]) for number in chunk.folds]
        folds = zip(self._valid_logits(chunk), rows, strict=True)
        return torch.stack([finite(logits[:, :count]) for logits, count in folds]).all(0).cpu()

    def _valid_logits(self, chunk: Chunk) -> Tensor:
        """(F, P, m, outputs), folds padded to equal length."""
        folds, members = list(chunk.folds), len(chunk.members)
        weights = chunk.weights.flatten(0, 1)
        blocks = [
            self.stacked.logits(weights, chunk.buffers, self._per_member(block, members))
            for block in self.valid_inputs[folds].split(ROWS_AT_ONCE, dim=1)
        ]
        return torch.cat(blocks, dim=1).unflatten(0, (len(folds), members))

    # --- setting up ---------------------------------------------------------------------------

    def _fresh_model(self, fold: int) -> nn.Module:
        torch.manual_seed(derived_seed(self.seed, "weights", fold))
        inputs = self.folds[fold].train_inputs.shape[1]
        return build_model(self.spec.model, inputs, self.outputs).to(self.device, self.dtype)

    def _flat(self, model: nn.Module) -> Tensor:
        row = torch.zeros(self.layout.columns, dtype=self.dtype, device=self.device)
        own = dict(model.named_parameters())
        for name, view in self.layout.views(row).items():
            view.copy_(own[name].detach())
        return row

    def _trained(self, targets: Tensor) -> Tensor:
        dtype = self.dtype if self.kind == "regression" else torch.int64
        return targets.to(self.device, dtype)

    def _padded(self, blocks: Sequence[Tensor]) -> Tensor:
        longest = aligned(max(len(block) for block in blocks))
        padded = torch.zeros(len(blocks), longest, blocks[0].shape[1])
        for target, block in zip(padded, blocks, strict=True):
            target[: len(block)] = block
        return padded.to(self.device, self.dtype)

    def _full_batches(self) -> list[Batch]:
        """Every training row once, in blocks; their weighted losses add up to the mean loss."""
        longest = aligned(max(self.fold_rows))
        place = torch.arange(longest)
        counts = torch.tensor(self.fold_rows)[:, None]
        starts = counts.cumsum(0) - counts
        rows = starts + torch.where(place < counts, place, 0)
        weights = torch.where(place < counts, 1 / counts.double(), 0)
        blocks = zip(rows.split(ROWS_AT_ONCE, 1), weights.split(ROWS_AT_ONCE, 1), strict=True)
        return [
            Batch(rows.to(self.device), weights.to(self.device), tuple(self.fold_rows))
            for rows, weights in blocks
        ]

    def _note_normalisation(self, model: nn.Module) -> None:
        layers = normalisation_layers(model)
        if layers and self.spec.search.penalty != ["none"]:
            self.notes.append(
                f"the model has {', '.join(layers)} layers: weights that feed one can shrink "
                "without changing the function, so penalties and nonzero counts mean less there"
            )

    def _stacked(self, model: nn.Module) -> StackedModel:
        """The fastest way that works: plug-ins that vmap can't do are called member by member."""
        if isinstance(self.spec.model, LinearModel | MlpModel):
            return Dense(model, self.layout)
        in_turn = InTurn(model, self.layout)
        with unrunnable_where_it_fails(self.spec.model.kind, "failed in training"):
            expected = self._try(in_turn)
        if self.fold_by_fold:  # its batches can't be padded, and padding is what keeps bits apart
            return in_turn
        if (
            Dense.fits(model)
            and self._differs(dense := Dense(model, self.layout), expected) is None
        ):
            return dense
        mapped = Mapped(model, self.layout)
        difference = self._differs(mapped, expected)
        if difference is None:
            return mapped
        self.notes.append(
            "the model can't be trained for all members at once and runs member by member, "
            f"which is slower ({difference})"
        )
        return in_turn

    def _differs(self, stacked: StackedModel, expected: Tensor) -> str | None:
        """How a trial step fails or ends elsewhere than expected; None where it ends there."""
        try:
            torch.testing.assert_close(self._try(stacked), expected, rtol=1e-3, atol=1e-4)
        except Exception as error:
            return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        return None

    def _try(self, stacked: StackedModel) -> Tensor:
        """Logits without dropout after a trial step with it; two members."""
        weights = self.initial[:1].repeat(2, 1)
        buffers = {
            name: value[:1].repeat_interleave(2, 0) for name, value in self.initial_buffers.items()
        }
        count = min(self.fold_rows[0], self.spec.batch_size, 8)
        inputs = self._per_member(self.inputs[None, :count], 2)
        targets = self._per_member(self.targets[None, :count], 2)
        ones = torch.full(targets.shape, 1 / count, dtype=self.dtype, device=self.device)
        batch = (inputs, targets, ones)
        _, gradient, buffers = stacked.gradient(weights, buffers, batch, self._row_losses, 0)
        return torch.cat([stacked.logits(weights, buffers, inputs).flatten(), gradient.flatten()])
