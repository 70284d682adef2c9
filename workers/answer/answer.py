"""The answer: choose trials, refit them, and only then open the sealed test set, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ridgeway.answers import Baseline, Recommended
from ridgeway.jobs.artifacts import MODEL, Artifact
from ridgeway.study.reading import StudyTrial
from workers.answer.artifact import model_bytes
from workers.answer.choice import Refit, Role, choose
from workers.answer.described import described
from workers.answer.sealed import constant_score, sealed_scores
from workers.answer.warnings import warnings_of
from workers.data.prepare import Prepared
from workers.population.configuration import Configuration
from workers.population.results import TrainedModels

# Trains members on the development rows, each for so many epochs.
Refitting: TypeAlias = Callable[[Sequence[Configuration], Sequence[int]], TrainedModels]
# Keeps bytes of the job under a name.
Keep: TypeAlias = Callable[[str, bytes], Artifact]


@dataclass(frozen=True)
class Answer:
    """The answer of a job, the files that go with it, and what its owner should know."""

    recommended: Recommended
    artifacts: dict[str, Artifact]
    warnings: list[str]


def answer(
    candidates: Sequence[StudyTrial], prepared: Prepared, refit: Refitting, keep: Keep
) -> Answer:
    """Choose, refit on the development rows, and only then look at the sealed test set."""
    spec, outputs = prepared.spec, prepared.outputs
    refits, notes = _refitted(choose(candidates, spec.maximise), prepared, refit)
    # Only now, with every choice made and every model trained, are the sealed rows looked at.
    sealed = prepared.sealed()
    by_role = {each.role: each for each in refits}
    simplest = by_role["simplest"]
    recommended = Recommended(
        simplest=described(simplest, prepared),
        best=described(by_role["best"], prepared),
        none=described(by_role["none"], prepared) if "none" in by_role else None,
        baseline=Baseline(value=constant_score(spec.objective, sealed, outputs)),
        test=sealed_scores(spec, refits, sealed, outputs),
    )
    artifacts: dict[str, Artifact] = {}
    if not simplest.model.diverged_at:
        artifacts[MODEL] = keep(MODEL, model_bytes(simplest, prepared, sealed))
    return Answer(recommended, artifacts, [*notes, *warnings_of(spec, candidates, refits)])


def _refitted(
    chosen: dict[Role, StudyTrial], prepared: Prepared, refit: Refitting
) -> tuple[list[Refit], tuple[str, ...]]:
    """Refit each chosen trial once, whatever its roles; and what training them warned of."""
    spec = prepared.spec
    trials = {trial.number: trial for trial in chosen.values()}
    members = [Configuration.from_params(spec, trial.params) for trial in trials.values()]
    epochs = [trial.facts.best_epoch or spec.epochs for trial in trials.values()]
    models = refit(members, epochs)
    place = {number: place for place, number in enumerate(trials)}
    refits = [
        Refit(role, trial, models.model(place[trial.number])) for role, trial in chosen.items()
    ]
    return refits, models.notes
