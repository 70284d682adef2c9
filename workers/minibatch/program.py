"""A job's model as a program for many members: where weights lie, who computes, who steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.descent import descent_steps
from ridgeway.spec.names import UNPENALISED
from workers.backends import Backend, Buffers, InTurn, Models, Perturbation
from workers.backends.choosing import Candidates, CheckStep, choose_backend
from workers.data.seeds import derived_seed
from workers.kernels import CompiledOptimizer, Library, load
from workers.minibatch.chunks import Perturbations
from workers.minibatch.feed import Feed
from workers.models.building import build_model, unrunnable_where_it_fails
from workers.models.dropout import with_own_dropout
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters, fixed_state
from workers.models.traits import has_batch_statistics, normalisation_layers, saved_floats_per_row
from workers.optimizers import OPTIMIZERS
from workers.optimizers.base import Descent, Stepping, Uses
from workers.population.problem import Problem


class Program:
    """The model, layout, backend and optimiser that all chunks of a job have in common.

    initial (F, columns) and initial_buffers (F, ...) by name: every fold's fresh model.
    fold_by_fold: a batch's rows meet each other, so that folds can't share steps.
    floats_per_row: numbers kept of each row for the backward pass.
    notes: what the job should warn of.
    """

    def __init__(self, problem: Problem, feed: Feed) -> None:
        """Build every fold's fresh model; JobUnrunnable where that, or a step, fails."""
        spec, engine = problem.spec, problem.engine
        self.notes: list[str] = []
        self._problem, self._feed = problem, feed
        models = [self._fresh_model(fold) for fold in range(len(problem.folds))]
        model = models[0]
        parameters = describe_parameters(model, spec.penalize, spec.group_by)
        if not parameters:
            raise JobUnrunnable(f"model '{spec.model.kind}' has no parameters to train")
        like = torch.zeros((), dtype=problem.dtype, device=problem.device)
        self.layout = Layout.of(parameters, problem.by_input, like)
        self.initial = torch.stack([self._flat(each) for each in models])
        fixed = [fixed_state(each) for each in models]
        self.initial_buffers: Buffers = {
            name: torch.stack([own[name] for own in fixed]) for name in fixed[0]
        }
        self.buffer_floats = sum(value[0].numel() for value in self.initial_buffers.values())
        mine = engine.device == problem.device.type
        self.compiled = None if mine and engine.compiled is False else self._kernels()
        with unrunnable_where_it_fails(spec.model.kind, "failed in training"):
            self.fold_by_fold = has_batch_statistics(model, problem.inputs)
            self.floats_per_row = saved_floats_per_row(model, problem.inputs)
            self.backend = self._backend(model, engine.backend if mine else None)
        self.optimizer = self._stepping()
        self._note_normalisation(model)

    def _kernels(self) -> Library | None:
        """Return the compiled kernels; without them a note says so."""
        if self._problem.device.type != "cpu":
            return None
        library = load(self._problem.dtype)
        if isinstance(library, Library):
            return library
        self.notes.append(f"training runs without compiled kernels, which is slower: {library}")
        return None

    def _backend(self, model: nn.Module, wanted: str | None) -> Backend:
        # Products in C are not rounded to bfloat16.
        library = None if self._problem.spec.precision == "bf16" else self.compiled
        candidates = Candidates(model, self.layout, self._problem.kind, self.fold_by_fold, library)
        backend, slower = choose_backend(candidates, self._check_step(), wanted)
        if slower is not None:
            what = (
                "the model can't be trained for all members at once and runs member by member"
                if isinstance(backend, InTurn)
                else "the model's training step can't be compiled"
            )
            self.notes.append(f"{what}, which is slower ({slower})")
        return backend

    def _stepping(self) -> Stepping:
        spec, layout = self._problem.spec, self.layout
        uses = Uses.of(spec, layout.penalised_columns, self._descent(), layout.factors)
        eager = OPTIMIZERS[spec.optimizer](uses)
        return CompiledOptimizer(eager, self.compiled) if self.compiled else eager

    def _descent(self) -> Descent:
        problem = self._problem
        dense, grown = descent_steps(problem.spec.epochs, problem.steps_per_epoch)
        return Descent(dense, grown, always=problem.descends)

    def _fresh_model(self, fold: int) -> nn.Module:
        problem = self._problem
        torch.manual_seed(derived_seed(problem.seed, "weights", fold))
        searched = problem.spec.search.dropout is not None
        model = build_model(problem.spec.model, problem.inputs, problem.outputs, dropout=searched)
        return with_own_dropout(model).to(problem.device, problem.dtype)

    def _flat(self, model: nn.Module) -> Tensor:
        problem = self._problem
        row = torch.zeros(self.layout.columns, dtype=problem.dtype, device=problem.device)
        own = dict(model.named_parameters())
        for name, view in self.layout.views(row).items():
            view.copy_(own[name].detach())
        return row

    def _check_step(self) -> CheckStep:
        """Return a step with what the job does to a step's data, at a strength of zero."""
        weights = self.initial[:1].unsqueeze(1).repeat(1, 2, 1)
        buffers = {
            name: value[:1].unsqueeze(1).repeat_interleave(2, 1)
            for name, value in self.initial_buffers.items()
        }
        batch, nothing = self._feed.check_step(), weights.new_zeros(2)
        does = Perturbations.of(self._problem.spec, ())
        if does.input_noise:
            batch = replace(batch, noise=torch.zeros_like(batch.inputs))
        perturbation = Perturbation(
            label_smoothing=nothing if does.label_smoothing else None,
            input_noise=nothing if does.input_noise else None,
        )
        return CheckStep(Models(weights, buffers, perturbation, seed=0), batch)

    def _note_normalisation(self, model: nn.Module) -> None:
        layers = normalisation_layers(model)
        if layers and self._problem.spec.search.penalty != [UNPENALISED]:
            self.notes.append(
                f"the model has {', '.join(layers)} layers: weights that feed one can shrink "
                "without changing the function, so penalties and nonzero counts mean less there"
            )

    def start(self, folds: Sequence[int]) -> tuple[Tensor, Buffers]:
        """Return weights (F, columns) and buffers (F, ...) of these folds before the first step."""
        chosen = list(folds)
        return self.initial[chosen], {
            name: value[chosen] for name, value in self.initial_buffers.items()
        }
