"""The answer: which trials to name, what their refits score on the sealed test set, the model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from safetensors.torch import save
from sqlalchemy.engine import Connection
from torch import Tensor

from ridgeway.data.store import Store
from ridgeway.jobs import holding
from ridgeway.jobs.artifacts import Artifact
from ridgeway.jobs.leases import Lease
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.names import UNPENALISED, Objective
from ridgeway.spec.spec import JobSpec
from ridgeway.study import reading
from ridgeway.study.reading import StudyTrial
from ridgeway.views import Baseline, Chosen, Recommended, SealedScores
from workers.data.prepare import Fold, Prepared
from workers.objectives.constant import constant_logits
from workers.objectives.metrics import score
from workers.penalties.conversions import (
    convertible,
    glmnet,
    sklearn_least_squares,
    sklearn_logistic,
)
from workers.population.configuration import Configuration
from workers.train import TrainedModels, Watch, predict, refit_population

MODEL = "model.safetensors"
Role = Literal["simplest", "best", "none"]


@dataclass(frozen=True)
class Answer:
    """What the answer's lease hands over."""

    recommended: Recommended
    artifacts: dict[str, Artifact]
    warnings: list[str]


def own_complete_trials(transaction: Connection, lease: Lease) -> list[StudyTrial]:
    """The COMPLETE trials that this job's workers trained; foreign ones are no candidates."""
    own = holding.own_numbers(transaction, lease.job_id)
    complete = reading.complete_trials(transaction, lease.study_id)
    return [trial for trial in complete if any(trial.number in numbers for numbers in own)]


# --- which trials -----------------------------------------------------------------------------


def choose(trials: Sequence[StudyTrial], maximise: bool) -> dict[Role, StudyTrial]:
    """`best`; `simplest`: the fewest nonzeros within one standard error of it; best of `none`.

    Ties go by value, then by number. The one-standard-error rule is Breiman et al. (1984), 3.4.3.
    """

    def loss(trial: StudyTrial) -> float:
        assert trial.value is not None
        return -trial.value if maximise else trial.value

    best = min(trials, key=lambda trial: (loss(trial), trial.number))
    limit = loss(best) + (best.facts.standard_error or 0.0)
    simplest = min(
        (trial for trial in trials if loss(trial) <= limit),
        key=lambda trial: (nonzero_weights(trial), loss(trial), trial.number),
    )
    chosen: dict[Role, StudyTrial] = {"simplest": simplest, "best": best}
    unpenalised = [trial for trial in trials if trial.params["penalty"] == UNPENALISED]
    if unpenalised:
        chosen["none"] = min(unpenalised, key=lambda trial: (loss(trial), trial.number))
    return chosen


def nonzero_weights(trial: StudyTrial) -> float:
    """Return a complete trial's nonzero weights, the mean over its folds."""
    assert trial.facts.nonzero_weights is not None, "workers write it for every complete trial"
    return trial.facts.nonzero_weights


# --- refit and score --------------------------------------------------------------------------


def answer(
    lease: Lease,
    candidates: Sequence[StudyTrial],
    prepared: Prepared,
    store: Store,
    *,
    device: torch.device,
    on_epoch: Callable[[int, int], None],
    watched: Callable[[Sequence[Configuration]], Watch] = lambda members: Watch(),
) -> Answer:
    """Choose, refit on the development rows, and only then look at the sealed test set, once.

    watched: who looks on while these members are refitted; whoever takes over goes on from there.
    """
    spec = prepared.spec
    chosen = choose(candidates, spec.maximise)
    numbers = list(dict.fromkeys(trial.number for trial in chosen.values()))
    configurations = {
        trial.number: Configuration.from_params(spec, trial.params) for trial in chosen.values()
    }
    epochs = {trial.number: trial.facts.best_epoch or spec.epochs for trial in chosen.values()}
    members = [configurations[number] for number in numbers]
    refits = refit_population(
        spec,
        members,
        prepared.development(),
        prepared.outputs,
        seed=spec.seed,
        device=device,
        epochs=[epochs[number] for number in numbers],
        engine=lease.plan.engine.for_refits() if lease.plan else None,
        on_epoch=on_epoch,
        watch=watched(members),
    )
    # Only now, with every choice made and every model trained, are the sealed rows looked at.
    sealed = prepared.sealed()
    place: dict[Role, int] = {role: numbers.index(trial.number) for role, trial in chosen.items()}
    recommended = Recommended(
        simplest=_chosen(spec, chosen["simplest"], refits, place["simplest"], prepared),
        best=_chosen(spec, chosen["best"], refits, place["best"], prepared),
        none=_chosen(spec, chosen["none"], refits, place["none"], prepared)
        if "none" in chosen
        else None,
        baseline=Baseline(value=_baseline(spec.objective, sealed, prepared.outputs)),
        test=_scores(spec, refits, place, sealed, prepared.outputs),
    )
    artifacts: dict[str, Artifact] = {}
    if not refits.diverged_at[place["simplest"]]:
        model = _model_bytes(chosen["simplest"], refits, place["simplest"], prepared, sealed)
        # The fence is part of the address: a lost holder can't overwrite the next one's.
        address = f"jobs/{lease.job_id}/{lease.id}-{lease.fence}/{MODEL}"
        artifacts[MODEL] = Artifact(address, store.put(address, model), len(model))
    return Answer(recommended, artifacts, _warnings(spec, candidates, chosen, refits, place))


def _chosen(
    spec: JobSpec, trial: StudyTrial, refits: TrainedModels, index: int, prepared: Prepared
) -> Chosen:
    assert trial.value is not None
    diverged = bool(refits.diverged_at[index])
    return Chosen(
        number=trial.number,
        value=trial.value,
        standard_error=trial.facts.standard_error,
        params=trial.params,
        nonzero_weights=nonzero_weights(trial),
        refit_nonzero_weights=None if diverged else int(refits.nonzero_weights[index, 0]),
        weights=refits.weights,
        selected_features=None
        if diverged
        else _selected_features(spec, refits.parameters(index, 0), prepared),
        equivalents=_equivalents(spec, trial, prepared),
    )


def _equivalents(
    spec: JobSpec, trial: StudyTrial, prepared: Prepared
) -> dict[str, dict[str, float]] | None:
    """The trial's strength in other libraries' terms, where their objective is the same."""
    configuration = Configuration.from_params(spec, trial.params)
    comparable = convertible(configuration.penalty) and configuration.strength > 0
    if not isinstance(spec.model, LinearModel) or prepared.outputs > 1 or not comparable:
        return None
    if configuration.weight_decay > 0 or spec.class_weights != "none":
        return None
    if spec.penalize != "weights":  # theirs leave the intercept alone
        return None
    if configuration.label_smoothing > 0 or configuration.input_noise > 0:
        return None
    regression = spec.task == "regression"
    terms = (configuration.penalty, configuration.strength, configuration.l1_ratio)
    library = sklearn_least_squares if regression else sklearn_logistic
    return {
        "sklearn": library(*terms, len(prepared.development().train_targets)),
        "glmnet": glmnet(*terms, gaussian=regression),
    }


def _selected_features(
    spec: JobSpec, parameters: dict[str, Tensor], prepared: Prepared
) -> int | None:
    """Source columns with a nonzero outgoing weight; None where the first layer isn't known."""
    if not isinstance(spec.model, LinearModel | MlpModel):
        return None
    first = next(tensor for tensor in parameters.values() if tensor.dim() == 2)  # (units, inputs)
    used = (first != 0).any(0).tolist()
    columns = zip(prepared.source_columns, used, strict=True)
    return len({column for column, is_used in columns if is_used})


def sealed_metric(spec: JobSpec) -> Objective:
    """What the sealed test set is scored by: the objective, or for a loss a plain score."""
    if spec.objective != "loss":
        return spec.objective
    return "accuracy" if spec.task == "classification" else "r2"


def _scores(
    spec: JobSpec, refits: TrainedModels, place: dict[Role, int], sealed: Fold, outputs: int
) -> SealedScores:
    metric = sealed_metric(spec)
    logits = {
        role: _own_units(
            predict(spec, refits.parameters(index, 0), sealed.valid_inputs, outputs), sealed
        )
        for role, index in place.items()
        if not refits.diverged_at[index]
    }

    def scores(by: Objective) -> dict[str, float | None]:
        return {
            str(role): _finite(score(by, given[None], sealed.valid_targets, spec.task))
            for role, given in logits.items()
        }

    by_role = scores(metric)
    return SealedScores(
        evaluations=1,
        metric=metric,  # type: ignore[arg-type] # never "loss"
        rows=len(sealed.valid_targets),
        simplest=by_role.get("simplest"),
        best=by_role.get("best"),
        none=by_role.get("none"),
        baseline=_baseline(metric, sealed, outputs),
        loss={**scores("loss"), "baseline": _baseline("loss", sealed, outputs)},
    )


def _baseline(metric: Objective, sealed: Fold, outputs: int) -> float:
    """Score the constant predictor of the development rows on the sealed ones."""
    constant = _own_units(constant_logits(sealed.train_targets, outputs), sealed)
    rows = len(sealed.valid_targets)
    return float(score(metric, constant.expand(1, rows, outputs), sealed.valid_targets)[0])


def _own_units(predictions: Tensor, sealed: Fold) -> Tensor:
    """Predictions of a standardised target in its own units; logits as they are."""
    return predictions * sealed.target_scale + sealed.target_mean


def _finite(values: Tensor) -> float | None:
    value = float(values[0])
    return value if math.isfinite(value) else None


# --- what is kept -----------------------------------------------------------------------------


def _model_bytes(
    trial: StudyTrial, refits: TrainedModels, index: int, prepared: Prepared, sealed: Fold
) -> bytes:
    """The refitted model as safetensors, with all that it takes to use it in the metadata.

    An input is (x - mean) / scale, x the source column's number (`fill` where it is missing), or
    1 or 0 for a level and for "is missing". A regression predicts target_mean + target_scale * y.
    """
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in refits.parameters(index, 0).items()
    }
    metadata = {
        "spec": prepared.spec.model_dump_json(),
        "trial": str(trial.number),
        "params": json.dumps(trial.params),
        "outputs": str(prepared.outputs),
        "classes": json.dumps(list(prepared.classes)),
        "inputs": json.dumps(prepared.recipe()),
        "target_mean": repr(sealed.target_mean),
        "target_scale": repr(sealed.target_scale),
    }
    return save(tensors, metadata=metadata)


def _warnings(
    spec: JobSpec,
    candidates: Sequence[StudyTrial],
    chosen: dict[Role, StudyTrial],
    refits: TrainedModels,
    place: dict[Role, int],
) -> list[str]:
    warnings = [*refits.notes, *_unconverged(spec, candidates, chosen, refits, place)]
    if UNPENALISED in spec.search.penalty and "none" not in chosen:
        warnings.append(
            "No trial with penalty `none` was complete: nothing unpenalised to compare."
        )
    for role, index in place.items():
        if refits.diverged_at[index]:
            warnings.append(
                f"The refit of `{role}` (trial {chosen[role].number}) diverged in epoch "
                f"{refits.diverged_at[index]}: it has no test score."
            )
    return warnings


def _unconverged(
    spec: JobSpec,
    candidates: Sequence[StudyTrial],
    chosen: dict[Role, StudyTrial],
    refits: TrainedModels,
    place: dict[Role, int],
) -> list[str]:
    """What a solver that promises the optimum has not kept."""
    if refits.converged is None:
        return []
    warnings: list[str] = []
    short = sum(not trial.facts.converged for trial in candidates)
    if short:
        warnings.append(
            f"{short} of {len(candidates)} complete trials had not converged after {spec.epochs} "
            "epochs: their values and zeros are not those of the optimum. More `epochs`, or a "
            "larger lowest λ, lets them arrive."
        )
    for role, index in place.items():
        if not refits.converged[index] and not refits.diverged_at[index]:
            warnings.append(
                f"The refit of `{role}` (trial {chosen[role].number}) had not converged after "
                f"{spec.epochs} epochs; more `epochs` let it arrive."
            )
    return warnings
