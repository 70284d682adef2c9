"""Warnings that go with an answer."""

from __future__ import annotations

from collections.abc import Sequence

from ridgeway.spec.names import UNPENALISED
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import Refit


def warnings_of(
    spec: JobSpec, candidates: Sequence[StudyTrial], refits: Sequence[Refit]
) -> list[str]:
    """Return warnings about roles that nobody fills, and about refits that failed."""
    warnings = [*_unconverged(spec, candidates, refits), *_separated(spec, candidates)]
    if UNPENALISED in spec.search.penalty and all(refit.role != "none" for refit in refits):
        warnings.append(
            "No trial with penalty `none` was complete: nothing unpenalised to compare."
        )
    for refit in refits:
        if refit.model.diverged_at:
            warnings.append(
                f"The refit of `{refit.role}` (trial {refit.trial.number}) diverged in epoch "
                f"{refit.model.diverged_at}: it has no test score."
            )
    return warnings


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


def _separated(spec: JobSpec, candidates: Sequence[StudyTrial]) -> list[str]:
    """Return that some optimum is infinite, which no solver reaches."""
    folds = max((trial.facts.separated_folds or 0 for trial in candidates), default=0)
    if not folds:
        return []
    strengths = [float(trial.params.get("lambda", 0)) for trial in candidates]
    least = min((own for own in strengths if own > 0), default=None)
    bound = "" if least is None else f"; λ = {least:.3g} is the least tried that bounds it"
    return [
        f"In {folds} of {spec.folds} training splits the inputs tell the classes apart without an "
        "error. There the unpenalised optimum is infinite, and trials without a penalty show where "
        f"their solver stopped{bound}."
    ]
