"""The models of the answer: chosen trials trained on every development row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ridgeway.spec.names import OPTIMIZER_ROWS
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import Refit, Role
from workers.answer.training import Training
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.models.building import predict
from workers.objectives.losses import kind_of, row_losses
from workers.population.configuration import Configuration
from workers.population.problem import SETTLING_SHARE
from workers.population.results import TrainedModel

INITIALISATIONS = 3  # of each model that is trained in steps


@dataclass(frozen=True)
class Refits:
    """The refit of each role, and of each trial the models of all initialisations.

    notes: what training them warned of.
    """

    by_role: dict[Role, Refit]
    models: dict[int, list[TrainedModel]]
    notes: tuple[str, ...]


def refitted(chosen: Mapping[Role, StudyTrial], prepared: Prepared, training: Training) -> Refits:
    """Refit each chosen trial, whatever its roles, from several initialisations where it matters.

    The one kept has the median loss on the rows that it was trained on: neither luck nor bad luck.
    """
    spec = training.problem.spec
    trials = {trial.number: trial for trial in chosen.values()}
    members = [Configuration.from_params(spec, trial.params) for trial in trials.values()]
    epochs = [trial.facts.best_epoch or spec.epochs for trial in trials.values()]
    development = prepared.development()
    models: dict[int, list[TrainedModel]] = {number: [] for number in trials}
    notes: dict[str, None] = {}
    for seed in _seeds(spec):
        problem = replace(
            training.problem,
            spec=spec.model_copy(update={"seed": seed}),
            folds=[development],
            settling_share=SETTLING_SHARE,
        )
        found = training.refit(problem, members, epochs)
        notes |= dict.fromkeys(found.notes)
        for place, number in enumerate(trials):
            models[number].append(found.model(place))
    kept = {
        number: _median(own, spec, development, prepared.outputs) for number, own in models.items()
    }
    by_role: dict[Role, Refit] = {
        role: Refit(role, trial, kept[trial.number]) for role, trial in chosen.items()
    }
    return Refits(by_role, models, tuple(notes))


def _seeds(spec: JobSpec) -> list[int]:
    """Return the job's seed, and others where initial weights and batches decide something."""
    if not OPTIMIZER_ROWS[spec.optimizer].has_rates:
        return [spec.seed]
    others = range(1, INITIALISATIONS)
    return [spec.seed, *(derived_seed(spec.seed, "refit", number) % 2**32 for number in others)]


def _median(
    models: Sequence[TrainedModel], spec: JobSpec, rows: Fold, outputs: int
) -> TrainedModel:
    """Return the model with the median training loss of those that did not diverge."""
    whole = [model for model in models if not model.diverged_at]
    if len(whole) < 2:
        return whole[0] if whole else models[0]
    ordered = sorted(whole, key=lambda model: _loss(spec, model.parameters, rows, outputs))
    return ordered[(len(ordered) - 1) // 2]


def _loss(spec: JobSpec, parameters: Mapping[str, Tensor], rows: Fold, outputs: int) -> float:
    logits = predict(spec, parameters, rows.train_inputs, outputs).double().cpu()
    losses = row_losses(kind_of(spec, outputs), logits, rows.train_targets)
    return float((losses if rows.train_weights is None else losses * rows.train_weights).mean())
