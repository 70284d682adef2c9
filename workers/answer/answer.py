"""The answer: choose trials, confirm and refit them, and only then open the sealed test set, once.

chosen     the trials of the roles, by the search's folds and the job's rule
confirmed  the finalists on fresh splits and seeds: what is told of them, and what is claimed
refits     the models of the roles, on every development row
path       the recommended penalty at other strengths
debiasing  the recommended columns without a penalty, where the job asks for it
used       on which folds, and on which halves of the rows, the recommended model uses what
shown      what pictures need beside all this, and nothing rests on
sealed     what they predict for rows that nobody has looked at
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from torch import Tensor

from ridgeway.answers import Baseline, Choice, LinearRival, Recommended
from ridgeway.jobs.artifacts import FEATURES, MODEL, PATH, SHOWN, Artifact
from ridgeway.paths import RegularisationPath
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.artifact import constant_bytes, model_bytes
from workers.answer.checks import Found, checks
from workers.answer.choice import Refit, Role, choose, role_of, within_limits
from workers.answer.confirmation import confirm, constant_values, twin
from workers.answer.debiasing import DEBIASED, Debiasing, debias, undone
from workers.answer.described import described, selected_columns
from workers.answer.evidence import Evidence, finalists_of
from workers.answer.features import Usage, described_features, usage
from workers.answer.path import described_path, grid, trace, trace_trials, traced_trial
from workers.answer.refits import Refits, refitted
from workers.answer.rival import Rival, linear_rival
from workers.answer.role_files import RoleModels
from workers.answer.sealed import BASELINE, SealedTest
from workers.answer.shown.shown import trained_parts, with_sealed
from workers.answer.training import Training
from workers.answer.verdict import Findings, verdict
from workers.answer.warnings import warnings_of
from workers.data.prepare import Prepared
from workers.population.configuration import Configuration
from workers.population.results import fold_errors

# Keeps bytes of the job under a name.
Keep: TypeAlias = Callable[[str, bytes], Artifact]


@dataclass(frozen=True)
class Answer:
    """The answer of a job, the files that go with it, and what its owner should know."""

    recommended: Recommended
    artifacts: dict[str, Artifact]
    warnings: list[str]


def answer(
    candidates: Sequence[StudyTrial],
    prepared: Prepared,
    training: Training,
    keep: Keep,
    looks: int = 0,
) -> Answer:
    """Choose, confirm and refit on the development rows, and only then look at the sealed ones.

    looks: how often answers, this job's and others', have looked at the same sealed rows before.
    """
    spec = training.problem.spec
    chosen = choose(candidates, spec)
    evidence = _evidence(candidates, chosen, prepared, training)
    choice = _choice(evidence)
    role = role_of(choice)
    refits = refitted(chosen, prepared, training)
    debiasing = None
    if spec.refit == "debias" and choice != BASELINE:
        debiasing = debias(refits.by_role[role], evidence, prepared, training)
    path = _path(evidence, role, prepared, training)
    used = usage(evidence.member(chosen[role]), prepared, training)
    shown = trained_parts(evidence, refits, prepared, training)
    # Only now, with every choice made and every model trained, are the sealed rows looked at.
    sealed = SealedTest.opened(prepared, _models(spec, refits, evidence.rival, debiasing))
    recommended = _recommended(evidence, choice, refits, debiasing, sealed, prepared)
    found = Found(evidence, recommended, refits, sealed, prepared, looks, training.strengths)
    recommended = recommended.model_copy(update={"checks": checks(found)})
    kept = refits.by_role[role] if debiasing is None else debiasing.kept
    files = _model_files(choice, kept, used, sealed, prepared)
    files |= RoleModels(refits, evidence.rival, sealed, prepared).files(recommended)
    if path is not None:
        files[PATH] = path.model_dump_json().encode()
    shown = with_sealed(shown, sealed, _shown(choice, sealed), choice, prepared.classes)
    files[SHOWN] = shown.model_dump_json().encode()
    warnings = [*refits.notes, *warnings_of(spec, candidates, list(refits.by_role.values()))]
    if spec.refit == "debias":
        nothing = undone(kept, is_constant=choice == BASELINE)
        warnings += [nothing] if debiasing is None else debiasing.warnings(spec)
    return Answer(recommended, {name: keep(name, own) for name, own in files.items()}, warnings)


def _model_files(
    choice: Choice, kept: Refit, used: Usage | None, sealed: SealedTest, prepared: Prepared
) -> dict[str, bytes]:
    """Return the kept model and what is said of its features, by the names of their files."""
    files: dict[str, bytes] = {}
    if choice == BASELINE:
        files[MODEL] = constant_bytes(prepared, sealed.fold)
    elif not kept.model.diverged_at:
        files[MODEL] = model_bytes(kept, prepared, sealed.fold)
    if used is not None and not kept.model.diverged_at:
        features = described_features(choice, kept, used, sealed, prepared)
        files[FEATURES] = features.model_dump_json().encode()
    return files


def _evidence(
    candidates: Sequence[StudyTrial],
    chosen: dict[Role, StudyTrial],
    prepared: Prepared,
    training: Training,
) -> Evidence:
    """Confirm the finalists, their twins at λ = 0, and a linear model beside a net."""
    spec = training.problem.spec
    finalists = finalists_of(candidates, chosen, spec)
    members = [Configuration.from_params(spec, trial.params) for trial in finalists.values()]
    twins = [found for member in members if (found := twin(member)) is not None]
    rival = linear_rival(prepared, training)
    confirmed = confirm([*members, *twins], prepared, training)
    return Evidence(spec, candidates, chosen, finalists, confirmed, rival)


def _choice(evidence: Evidence) -> Choice:
    """Return what to recommend: the constant, unless the best is shown to be better."""
    if evidence.beyond_constant() is False:
        return "baseline"
    if not within_limits(evidence.chosen["simplest"], evidence.spec):
        return "baseline"
    # Within limits the rule's best may be another than the best of all.
    is_best = evidence.chosen["simplest"] is evidence.chosen["best"]
    return "best" if evidence.spec.rule == "best" and is_best else "simplest"


def _path(
    evidence: Evidence, role: Role, prepared: Prepared, training: Training
) -> RegularisationPath | None:
    """Trace the penalty of the role's trial, or a path's trials; None without a strength."""
    spec = evidence.spec
    trial = traced_trial(evidence.chosen[role], evidence.candidates, spec)
    if trial is None:
        return None
    if spec.kind == "path":
        traced = trace_trials(evidence.candidates, prepared, training)
    else:
        member = evidence.member(trial)
        strengths = grid(member, prepared, training.strengths)
        traced = trace(member, trial.facts.best_epoch or spec.epochs, strengths, prepared, training)
    if traced is None or traced.best is None:
        return None
    return described_path(traced, trial, prepared, evidence.confirmed_value(trial))


def _models(
    spec: JobSpec, refits: Refits, rival: Rival | None, debiasing: Debiasing | None
) -> dict[str, tuple[JobSpec, Mapping[str, Tensor]]]:
    """Return spec and parameters of every model that predicts, by role."""
    models: dict[str, tuple[JobSpec, Mapping[str, Tensor]]] = {
        str(role): (spec, refit.model.parameters)
        for role, refit in refits.by_role.items()
        if not refit.model.diverged_at
    }
    if rival is not None and not rival.model.diverged_at:
        models["linear"] = (rival.spec, rival.model.parameters)
    if debiasing is not None:
        models[DEBIASED] = (spec, debiasing.model.parameters)
    return models


def _recommended(
    evidence: Evidence,
    choice: Choice,
    refits: Refits,
    debiasing: Debiasing | None,
    sealed: SealedTest,
    prepared: Prepared,
) -> Recommended:
    """Put together what the answer shows, all but its checks."""
    role = role_of(choice)
    by_rival = {each.rival: each for each in evidence.comparisons(role, sealed)}
    confirmation = evidence.confirmation(sealed.losses(refits.models[evidence.chosen[role].number]))
    kept = refits.by_role
    used = selected_columns(kept[role].model.parameters, prepared)
    findings = Findings(
        spec=evidence.spec,
        trial=evidence.chosen[role],
        is_constant=choice == BASELINE,
        is_limited=choice == BASELINE and evidence.beyond_constant() is not False,
        constant=by_rival.get("baseline"),
        unpenalised=by_rival.get("none"),
        best=by_rival.get("best"),
        features=None if used is None else (len(used), len(set(prepared.source_columns))),
        rows=sealed.effective_rows,
        confirmation=confirmation,
    )
    return Recommended(
        choice=choice,
        verdict=verdict(findings),
        simplest=described(kept["simplest"], prepared),
        best=described(kept["best"], prepared),
        none=described(kept["none"], prepared) if "none" in kept else None,
        linear=_linear(evidence.rival),
        baseline=_baseline(evidence.spec, prepared, sealed),
        penalties=evidence.penalties(),
        confirmation=confirmation,
        debias=None if debiasing is None else debiasing.described(sealed),
        comparisons=list(by_rival.values()),
        test=sealed.scores(_shown(choice, sealed)),
    )


def _shown(choice: Choice, sealed: SealedTest) -> str:
    """Return the role of the kept model among the sealed scores."""
    if DEBIASED in sealed.logits:
        return DEBIASED
    return BASELINE if choice == BASELINE else role_of(choice)


def _linear(rival: Rival | None) -> LinearRival | None:
    if rival is None or rival.model.features is None:
        return None
    return LinearRival(
        strength=rival.member.strength,
        value=rival.value,
        standard_error=rival.standard_error,
        features=rival.model.features,
    )


def _baseline(spec: JobSpec, prepared: Prepared, sealed: SealedTest) -> Baseline:
    values = constant_values(spec, prepared.folds, prepared.outputs)
    known = bool(np.isfinite(values).all())
    several = len(values) > 1
    return Baseline(
        value=sealed.value(BASELINE, spec.objective),
        validation=float(values.mean()) if known else None,
        standard_error=float(fold_errors(values[None], spec.validation)[0])
        if known and several
        else None,
    )
