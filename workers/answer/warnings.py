"""Warnings that go with an answer."""

from __future__ import annotations

from collections.abc import Sequence

from ridgeway.spec.names import UNPENALISED
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import Refit, within_limits
from workers.population.results import TrainedModel


def warnings_of(
    spec: JobSpec, candidates: Sequence[StudyTrial], refits: Sequence[Refit]
) -> list[str]:
    """Return warnings about roles that nobody fills, and about refits that failed."""
    warnings = _unconverged(spec, candidates, refits)
    if UNPENALISED in spec.search.penalty and all(refit.role != "none" for refit in refits):
        warnings.append(
            "No trial with penalty `none` was complete: nothing unpenalised to compare."
        )
    simplest = next(refit for refit in refits if refit.role == "simplest")
    if within_limits(simplest.trial, spec):
        warnings += beyond_limits(spec, "The refit of `simplest`", simplest.model)
    for refit in refits:
        if refit.model.diverged_at:
            warnings.append(
                f"The refit of `{refit.role}` (trial {refit.trial.number}) diverged in epoch "
                f"{refit.model.diverged_at}: it has no test score."
            )
    return warnings


def beyond_limits(spec: JobSpec, what: str, model: TrainedModel) -> list[str]:
    """Return where a trial keeps to `at_most` and a model of it, on more rows, does not."""
    limits = spec.at_most
    if limits is None:
        return []
    found = {
        "features": (model.features, limits.features),
        "nonzero_weights": (model.nonzero_weights, limits.nonzero_weights),
    }
    return [
        f"{what} has {own} {name.replace('_', ' ')}, more than the {most} of "
        f"`at_most.{name}`, which its trial keeps to in the mean over folds."
        for name, (own, most) in found.items()
        if own is not None and most is not None and own > most
    ]


def _unconverged(
    spec: JobSpec, candidates: Sequence[StudyTrial], refits: Sequence[Refit]
) -> list[str]:
    """Return where a solver that promises the optimum has not kept its promise."""
    if any(refit.model.converged is None for refit in refits):
        return []
    warnings: list[str] = []
    short = sum(
        not trial.facts.converged and not trial.facts.separated_folds for trial in candidates
    )
    if short:
        warnings.append(
            f"{short} of {len(candidates)} complete trials had not converged after {spec.epochs} "
            "epochs: their values and zeros are not those of the optimum. More `epochs`, or a "
            "larger lowest λ, lets them arrive."
        )
    for refit in refits:
        if not (refit.model.converged or refit.model.separated or refit.model.diverged_at):
            warnings.append(
                f"The refit of `{refit.role}` (trial {refit.trial.number}) had not converged after "
                f"{spec.epochs} epochs; more `epochs` let it arrive."
            )
    return warnings
