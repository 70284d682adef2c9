"""The recommended columns fitted without a penalty: the relaxed lasso at gamma 0.

A penalty that chooses columns also shrinks the weights of those it keeps. Source: Meinshausen,
Relaxed Lasso (2007); glmnet's `relax`. On the confirmation's fresh splits both models are compared,
each split by the columns that the penalty chooses on its training part alone:

debiasing = debias(refit, evidence, prepared, training)
debiasing.model       # the refit on the development rows, to be kept
debiasing.difference  # by how much it is better on fresh splits
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ridgeway.answers import Debias
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import UNPENALISED, penalty_row
from ridgeway.spec.spec import JobSpec
from workers.answer.choice import Refit
from workers.answer.comparing import Paired, corrected_test
from workers.answer.confirmation import fresh_splits
from workers.answer.evidence import Evidence
from workers.answer.sealed import SealedTest, sealed_metric
from workers.answer.training import Training
from workers.answer.warnings import beyond_limits
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.models.building import build_model, predict
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters
from workers.objectives.losses import kind_of
from workers.objectives.metrics import score
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import TrainedModel

DEBIASED = "debiased"  # its role among the sealed scores


@dataclass(frozen=True)
class Debiasing:
    """The debiased refit, and the penalised and the debiased model on K fresh splits.

    values (2, K), in the objective; None where one of them could not be had.
    """

    penalised: Refit
    model: TrainedModel
    values: np.ndarray | None
    difference: Paired | None

    @property
    def kept(self) -> Refit:
        """The refit whose weights are the debiased ones."""
        return replace(self.penalised, model=self.model)

    def described(self, sealed: SealedTest) -> Debias:
        """Return what the answer says of the two."""
        metric, told = sealed_metric(sealed.spec), self.difference
        means = [None, None] if self.values is None else self.values.mean(1).tolist()
        return Debias(
            penalised=means[0],
            debiased=means[1],
            difference=None if told is None else told.difference,
            interval=None if told is None else told.interval,
            p=None if told is None else told.p,
            features=self.model.features,
            nonzero_weights=self.model.nonzero_weights,
            sealed_penalised=sealed.value(self.penalised.role, metric),
            sealed_debiased=sealed.value(DEBIASED, metric),
        )

    def warnings(self, spec: JobSpec) -> list[str]:
        """Return why the debiased weights may not be what they are taken for."""
        beyond = beyond_limits(spec, "The debiased refit", self.model)
        if self.model.separated:
            return [
                *beyond,
                "Without a penalty the chosen columns have no finite optimum, as they tell classes "
                "apart: the debiased weights are as large as `epochs` let them become.",
            ]
        if self.model.converged is False:
            beyond.append("The debiased refit had not converged; more `epochs` let it arrive.")
        return beyond


def debias(
    refit: Refit, evidence: Evidence, prepared: Prepared, training: Training
) -> Debiasing | None:
    """Fit the refit's columns without a penalty; None where it sets no zeros, or one diverges."""
    member = evidence.member(refit.trial)
    if not PENALTIES[member.penalty].sparse or refit.model.diverged_at:
        return None
    seed = _own_seed(evidence.spec)
    epochs = refit.trial.facts.best_epoch or evidence.spec.epochs
    own = _seeded(training, seed)
    model = without_penalty(member, refit.model, prepared.development(), own, epochs)
    if model.diverged_at:
        return None
    values = None if evidence.confirmed is None else _values(member, prepared, training, epochs)
    told = None
    if values is not None and evidence.confirmed is not None:
        better = as_loss(values[0] - values[1], evidence.spec.maximise)
        told = corrected_test(better, evidence.confirmed.valid_share)
    return Debiasing(refit, model, values, told)


def undone(refit: Refit, *, is_constant: bool) -> str:
    """Return why nothing was debiased though the job asks for it."""
    if is_constant:
        return "Nothing was debiased: the constant is recommended, which uses no columns."
    name = str(refit.trial.params["penalty"])
    if not PENALTIES[name].sparse:
        return f"Nothing was debiased: {penalty_row(name).label}, recommended, sets no zeros."
    return "Nothing was debiased: the refit diverged, with its penalty or without."


def without_penalty(
    member: Configuration,
    penalised: TrainedModel,
    rows: Fold,
    training: Training,
    epochs: int | None = None,
) -> TrainedModel:
    """Train on the fold's training rows with the columns of nonzero weights alone, λ = 0.

    Of the result the weights of all other inputs are zero, in every matrix (..., d) that they feed.
    Without any column a linear model is its intercepts already, and a net is left as it is.
    epochs: how long it trains; all of the spec's by default.
    """
    problem, sources = training.problem, training.problem.sources
    assert sources is not None, "the inputs of linear and mlp are known"
    fed = _fed(problem)
    used = torch.stack([(penalised.parameters[name] != 0).any(0) for name in fed]).any(0)
    columns = used.nonzero().flatten()  # (k,)
    if not len(columns):
        return penalised
    own = replace(
        problem,
        spec=_of_columns(problem.spec, sources, columns.tolist()),
        folds=[_narrowed(rows, columns)],
        sources=tuple(sources[column] for column in columns.tolist()),
    )
    free = replace(member, penalty=UNPENALISED, strength=0.0, l1_ratio=0.0)
    found = training.refit(own, [free], None if epochs is None else [epochs]).model(0)
    whole = {
        name: torch.zeros_like(penalised.parameters[name]).index_copy_(
            1, columns, found.parameters[name]
        )
        for name in fed
    }
    return replace(found, parameters={**found.parameters, **whole}, weights=penalised.weights)


def _fed(problem: Problem) -> tuple[str, ...]:
    """Return the names of the matrices that inputs feed."""
    spec = problem.spec
    model = build_model(spec.model, problem.inputs, problem.outputs)
    return Layout.of(describe_parameters(model, spec.penalize, spec.group_by)).fed


def _narrowed(rows: Fold, columns: Tensor) -> Fold:
    scales = rows.input_scales
    return replace(
        rows,
        train_inputs=rows.train_inputs[:, columns],
        valid_inputs=rows.valid_inputs[:, columns],
        input_scales=None if scales is None else scales[columns],
    )


def _of_columns(spec: JobSpec, sources: tuple[str, ...], columns: list[int]) -> JobSpec:
    """Return the spec without what it says of other inputs; bounds hold on, factors have no use."""
    # What says that a number is missing follows the number, which alone has bounds.
    bounds = {name: own for name, own in spec.bounds.items() if sources.index(name) in columns}
    free = {"penalty_factors": {}, "feature_groups": {}, "bounds": bounds}
    return spec.model_copy(update=free)


def _values(
    member: Configuration, prepared: Prepared, training: Training, epochs: int
) -> np.ndarray | None:
    """Return what the penalised and the debiased model reach on fresh splits, (2, K)."""
    spec, outputs = training.problem.spec, prepared.outputs
    pairs: list[tuple[float, float]] = []
    for problem in fresh_splits(prepared, training):
        found = training.train(problem, [member])
        if found is None:
            return None
        for place, fold in enumerate(problem.folds):
            penalised = found.model(0, place)
            own_seed = _own_seed(spec, problem.seed, place)
            free = without_penalty(member, penalised, fold, _seeded(training, own_seed), epochs)
            if penalised.diverged_at or free.diverged_at:
                return None
            own = _value(spec, penalised.parameters, fold, outputs)
            pairs.append((own, _value(spec, free.parameters, fold, outputs)))
    values = np.array(pairs).T
    return values if np.isfinite(values).all() else None


def _own_seed(spec: JobSpec, *place: int) -> int:
    """Return a seed of its own for each refit: a checkpoint is told by it from that of another."""
    return derived_seed(spec.seed, "debias", *place) % 2**32


def _seeded(training: Training, seed: int) -> Training:
    problem = training.problem
    spec = problem.spec.model_copy(update={"seed": seed})
    return replace(training, problem=replace(problem, spec=spec))


def _value(spec: JobSpec, parameters: Mapping[str, Tensor], fold: Fold, outputs: int) -> float:
    """Return the objective on the fold's validation rows."""
    kind = kind_of(spec, outputs)
    logits = predict(spec, parameters, fold.valid_inputs, outputs).double().cpu()
    own, weights = fold.response(kind, logits)[None], fold.valid_weights
    return float(score(spec.objective, own, fold.valid_targets, fold.own_kind(kind), weights)[0])
