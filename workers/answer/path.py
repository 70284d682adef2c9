"""The regularisation path of an answer: its penalty over a grid of strengths, all else equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ridgeway.paths import PathPoint, RegularisationPath
from ridgeway.spec.directions import as_loss
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.names import OPTIMIZER_ROWS
from ridgeway.spec.space import quantile
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import best_of
from workers.answer.columns import Units, column_norms
from workers.answer.extent import path_strengths
from workers.answer.path_scores import PathScores
from workers.answer.training import Training
from workers.data.prepare import Prepared
from workers.models.by_input import ByInput
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.problem import path_problem
from workers.population.results import TrainedModels, fold_errors
from workers.strength.placing import columns_left, drops_columns, spread
from workers.strength.probe import BELOW, BEYOND, UNPROBED
from workers.strength.range import path_ends

MOST_COLUMNS = 500  # whose coefficients are told


@dataclass(frozen=True)
class Traced:
    """A path in training: its members, from the strongest down, their scores and their models."""

    spec: JobSpec
    members: Sequence[Configuration]
    scores: PathScores
    models: TrainedModels

    @property
    def best(self) -> int | None:
        """The place of the best value, of equals the strongest; None where all diverged."""
        losses = as_loss(self.scores.values, self.spec.maximise)
        return int(np.nanargmin(losses)) if np.isfinite(losses).any() else None

    @property
    def one_standard_error(self) -> int | None:
        """The place of the strongest whose value is within one standard error of the best."""
        if self.best is None:
            return None
        losses = as_loss(self.scores.values, self.spec.maximise)
        limit = losses[self.best] + np.nan_to_num(self.scores.standard_errors[self.best])
        return int(np.flatnonzero(losses <= limit)[0])


def traced_trial(
    recommended: StudyTrial, candidates: Sequence[StudyTrial], spec: JobSpec
) -> StudyTrial | None:
    """Return the trial that the path varies: the recommended one, or else the best with a λ."""
    if "lambda" in recommended.params:
        return recommended
    with_strength = [trial for trial in candidates if "lambda" in trial.params]
    return best_of(with_strength, spec) if with_strength else None


def trace(
    member: Configuration,
    epochs: int,
    strengths: np.ndarray,
    prepared: Prepared,
    training: Training,
) -> Traced | None:
    """Train the member at each strength, on the job's folds and on every development row.

    Where a path has more strengths than these, the others go where these drop columns. None where
    the model would not be trained.
    """
    problem = path_problem(training.problem)
    members = [replace(member, strength=float(own)) for own in strengths]
    first = training.train(problem, members)
    if first is None:
        return None
    scores = PathScores.of_population(first)
    more = path_strengths(prepared) - len(members)
    added = [replace(member, strength=own) for own in _between(members, scores, more)]
    further = training.train(problem, added) if added else None
    if further is not None:
        members += added
        order = sorted(range(len(members)), key=lambda place: -members[place].strength)
        scores = scores.beside(PathScores.of_population(further), order)
        members = [members[place] for place in order]
    del problem  # with its solver: that of the refits needs the memory
    return _traced(members, scores, [epochs] * len(members), prepared, training)


def trace_trials(trials: Sequence[StudyTrial], prepared: Prepared, training: Training) -> Traced:
    """Trace a path job: its trials are the strengths, and are refitted on every development row."""
    spec = training.problem.spec
    trials = sorted(trials, key=lambda trial: -float(trial.params["lambda"]))
    members = [Configuration.from_params(spec, trial.params) for trial in trials]
    epochs = [trial.facts.best_epoch or spec.epochs for trial in trials]
    return _traced(members, PathScores.of_trials(trials), epochs, prepared, training)


def grid(
    member: Configuration, prepared: Prepared, searched: tuple[float, float] | None
) -> np.ndarray:
    """Return the first strengths of an answer's path, from the largest down, evenly in logarithms.

    Of linear models all of them, from λ_max of the development rows, or where no strength leaves
    nothing from ten times that of Σ |w|; of nets over the range of the search. Of nets that drop
    columns half of them, up to where probed ones were a decade beyond the last that had not
    collapsed.
    """
    spec, count = prepared.spec, path_strengths(prepared)
    low, high = _searched(spec, searched)
    if isinstance(spec.model, LinearModel):
        rows, outputs = prepared.development(), prepared.outputs
        inputs = ByInput.of(spec, prepared.source_columns)
        ends = path_ends(spec, rows, outputs, inputs, (member.penalty, member.l1_ratio))
        if ends is not None:
            low, high = ends
            low = min(low, member.strength or low)
    elif drops_columns(member):
        count = (count + 1) // 2
        if spec.search.strength == "auto":
            high *= 10 ** (1 - BEYOND)
    return np.geomspace(high, low, count)


def described_path(
    traced: Traced, trial: StudyTrial, prepared: Prepared, confirmed: float | None
) -> RegularisationPath:
    """Return the path as the answer shows it; confirmed: the trial's value on fresh splits."""
    spec, member = traced.spec, traced.members[0]
    rates = OPTIMIZER_ROWS[spec.optimizer].has_rates
    told, columns, left_out = _columns(traced, prepared)
    return RegularisationPath(
        penalty=member.penalty,
        l1_ratio=member.l1_ratio if "l1_ratio" in PENALTIES[member.penalty].parameters else None,
        learning_rate=member.learning_rate if rates else None,
        weight_decay=member.weight_decay if rates else None,
        objective=spec.objective,
        loss=spec.loss_name,
        outputs=_outputs(prepared),
        columns=columns,
        scales=_scales(columns, prepared),
        left_out=left_out,
        best_strength=_strength(traced, traced.best),
        one_standard_error_strength=_strength(traced, traced.one_standard_error),
        recommended_strength=float(trial.params["lambda"]) or None,
        confirmed=confirmed,
        trial=trial.number,
        points=[
            PathPoint(**_scores(traced, place), **told[place])
            for place in range(len(traced.members))
        ],
    )


# --- pieces -----------------------------------------------------------------------------------


def _traced(
    members: Sequence[Configuration],
    scores: PathScores,
    epochs: Sequence[int],
    prepared: Prepared,
    training: Training,
) -> Traced:
    """Refit the members on every development row, each for so many epochs."""
    problem = path_problem(training.problem)
    models = training.refit(replace(problem, folds=[prepared.development()]), members, epochs)
    return Traced(training.problem.spec, members, scores, models)


def _between(members: Sequence[Configuration], scores: PathScores, count: int) -> Sequence[float]:
    """Return so many strengths between those of the members, where columns fall."""
    columns = columns_left(scores.features, scores.nonzero_weights)
    whole = np.isfinite(scores.values)
    left = {
        member.strength: float(own)
        for member, own, well in zip(members, columns, whole, strict=True)
        if well
    }
    strengths = [member.strength for member in members]
    return spread(left, strengths, count) if count and len(left) > 1 else ()


def _searched(spec: JobSpec, searched: tuple[float, float] | None) -> tuple[float, float]:
    """Return the range of the search, whose strengths may be one, or 0: paths have many above 0."""
    if spec.search.strength == "auto":
        return searched or UNPROBED
    low, high = (quantile(spec.search.strength, end) for end in (0.0, 1.0))
    if high <= 0:
        return UNPROBED
    if low == high:
        return low / 100, high * 100
    return low or BELOW * high, high


def _strength(traced: Traced, place: int | None) -> float | None:
    return None if place is None else traced.members[place].strength


def _outputs(prepared: Prepared) -> list[str]:
    if prepared.outputs > 1:
        return list(prepared.classes)
    return [prepared.classes[1] if prepared.classes else str(prepared.spec.target)]


def _scores(traced: Traced, place: int) -> dict[str, Any]:
    """Return what a strength came to on the folds."""
    scores, models = traced.scores, traced.models
    member, value = traced.members[place], float(scores.values[place])
    error, paired = float(scores.standard_errors[place]), None
    if scores.fold_values.shape[1] > 1 and traced.best is not None:
        apart = scores.fold_values[place] - scores.fold_values[traced.best]
        paired = float(fold_errors(apart[None], traced.spec.validation)[0])
    diverged = bool(models.diverged_at[place])
    return {
        "strength": member.strength,
        "value": _finite(value),
        "standard_error": _finite(error),
        "paired_error": None if paired is None else _finite(paired),
        "nonzero_weights": float(scores.nonzero_weights[place]),
        "features": None if scores.features is None else float(scores.features[place]),
        "settled": bool(scores.settled[place]) if PENALTIES[member.penalty].sparse else None,
        "refit_nonzero_weights": None if diverged else int(models.nonzero_weights[place, 0]),
        "refit_features": None
        if diverged or models.features is None
        else int(models.features[place, 0]),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _columns(traced: Traced, prepared: Prepared) -> tuple[list[dict[str, Any]], list[str], int]:
    """Return what each point tells of columns, which ones, and how many are left out."""
    model, places = prepared.spec.model, range(len(traced.members))
    if not isinstance(model, LinearModel | MlpModel):
        return [{} for _ in places], [], 0
    states = [traced.models.parameters(place, 0) for place in places]
    if isinstance(model, LinearModel):
        names = list(prepared.features)
        units = Units.of(prepared)
        in_units = [units.coefficients(state) for state in states]
        weights = np.stack([own for own, _ in in_units])  # (P, outputs, d)
        kept = _largest(np.abs(weights).max(1) * units.scales)
        told = [
            {
                "coefficients": {
                    names[column]: weights[place, :, column].tolist()
                    for column in kept
                    if weights[place, :, column].any()
                },
                "intercepts": intercepts.tolist(),
            }
            for place, (_, intercepts) in enumerate(in_units)
        ]
    else:
        norms = [column_norms(state, prepared) for state in states]
        names = list(norms[0])
        kept = _largest(np.array([list(own.values()) for own in norms]))
        told = [
            {"norms": {names[column]: own[names[column]] for column in kept if own[names[column]]}}
            for own in norms
        ]
    return told, [names[column] for column in kept], len(names) - len(kept)


def _scales(columns: Sequence[str], prepared: Prepared) -> dict[str, float]:
    """Return the standard deviations of a linear model's columns, by their names."""
    if not isinstance(prepared.spec.model, LinearModel):
        return {}
    scales = dict(zip(prepared.features, Units.of(prepared).scales.tolist(), strict=True))
    return {name: scales[name] for name in columns}


def _largest(sizes: np.ndarray) -> list[int]:
    """Return the columns, in their order, whose sizes (P, columns) somewhere are the largest."""
    most = sizes.max(0)
    return sorted(np.argsort(-most, kind="stable")[:MOST_COLUMNS].tolist())
