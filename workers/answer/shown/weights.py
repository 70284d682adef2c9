"""Histograms of weights: the best trial of each penalty, in bins that all share."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from ridgeway.shown import WeightHistogram, Weights
from ridgeway.spec.names import UNPENALISED
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import best_of
from workers.answer.evidence import Evidence
from workers.answer.refits import Refits
from workers.answer.shown.parts import Absent, short, shorts
from workers.data.prepare import Prepared
from workers.models.building import build_model
from workers.models.parameters import describe_parameters

BINS = 40  # of equal width, about zero
WITHIN = 0.99  # share of a penalty's weights that the bins are to hold
FARTHER = 4.0  # times the median penalty's range: one penalty does not make all others a line


def weights(evidence: Evidence, refits: Refits, prepared: Prepared) -> Weights:
    """Return the histogram of each penalty's best trial; of the roles' without a confirmation."""
    names, trained = _penalised(prepared), _trained(evidence, refits)
    told = {number: _flat(parameters, names) for number, parameters in trained.items()}
    if not any(len(own) for own in told.values()):
        raise Absent("No model has penalised weights.")
    trials = [trial for trial in _best_of_each(evidence) if trial.number in told]
    limit = _limit(list(told.values()))
    edges = np.linspace(-limit, limit, BINS + 1)
    return Weights(
        confirmed=evidence.confirmed is not None,
        edges=shorts(edges),
        histograms=[_histogram(evidence, own, told[own.number], edges) for own in trials],
    )


def _best_of_each(evidence: Evidence) -> list[StudyTrial]:
    by_penalty = [
        [trial for trial in evidence.candidates if trial.params["penalty"] == name]
        for name in evidence.spec.search.penalty
    ]
    return [best_of(own, evidence.spec) for own in by_penalty if own]


def _trained(evidence: Evidence, refits: Refits) -> dict[int, Mapping[str, Tensor]]:
    """Return parameters by trial: of the confirmation, whose finalists share all but themselves."""
    if evidence.confirmed is None:
        kept = {refit.trial.number: refit.model for refit in refits.by_role.values()}
        return {number: own.parameters for number, own in kept.items() if not own.diverged_at}
    found = {
        trial.number: evidence.confirmed.weights.get(evidence.member(trial))
        for trial in _best_of_each(evidence)
    }
    return {number: own for number, own in found.items() if own is not None}


def _penalised(prepared: Prepared) -> frozenset[str]:
    """Return the names of the parameters that a penalty holds."""
    spec = prepared.spec
    with torch.random.fork_rng(devices=[]):  # its initial weights are thrown away
        searched = spec.search.dropout is not None
        model = build_model(spec.model, prepared.inputs, prepared.outputs, dropout=searched)
    described = describe_parameters(model, spec.penalize, spec.group_by)
    return frozenset(each.name for each in described if each.penalised)


def _flat(parameters: Mapping[str, Tensor], names: Collection[str]) -> np.ndarray:
    own = [
        value.detach().cpu().double().flatten()
        for name, value in parameters.items()
        if name in names
    ]
    return torch.cat(own).numpy() if own else np.zeros(0)


def _limit(told: list[np.ndarray]) -> float:
    """Return where the outer bins end: nearly all weights of nearly all penalties lie within."""
    nonzero = [np.abs(own[own != 0]) for own in told]
    ranges = [float(np.quantile(own, WITHIN)) for own in nonzero if len(own)]
    if not ranges:
        return 1.0
    return short(min(max(ranges), FARTHER * float(np.median(ranges))))


def _histogram(
    evidence: Evidence, trial: StudyTrial, own: np.ndarray, edges: np.ndarray
) -> WeightHistogram:
    member, nonzero = evidence.member(trial), own[own != 0]
    counts, _ = np.histogram(np.clip(nonzero, edges[0], edges[-1]), edges)
    return WeightHistogram(
        penalty=member.penalty,
        trial=trial.number,
        strength=None if member.penalty == UNPENALISED else member.strength,
        weights=len(own),
        zeros=len(own) - len(nonzero),
        counts=counts.tolist(),
        beyond=int((np.abs(nonzero) > edges[-1]).sum()),
        largest=short(float(np.abs(own).max(initial=0.0))),
    )
