"""Checks of an answer: what a careful reader would ask about, where it is found to be so.

Each has a code, a sentence and a remedy; docs/checks.md has a section for each code. Those of the
data alone are in data_checks.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ridgeway.answers import Check, Recommended
from ridgeway.spec.dimensions import Range
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import UNPENALISED
from ridgeway.study.reading import StudyTrial
from ridgeway.words import number
from workers.answer.choice import (
    Refit,
    loss_of,
    nonzero_weights,
    paired_differences,
    paired_error,
    role_of,
)
from workers.answer.data_checks import correlated_inputs, data_checks, duplicates_across_seal
from workers.answer.described import selected_columns
from workers.answer.evidence import Evidence
from workers.answer.refits import Refits
from workers.answer.sealed import SealedTest
from workers.data.prepare import Prepared
from workers.penalties.penalties import PENALTIES

EDGE = 0.02  # of a range's width, on its own scale
UNSTABLE = 1.2  # largest over smallest sealed loss of refits
IMPROVING = 0.1  # of the standard error of the best, gained in the last fifth of the trials
OVERTUNED = 0.5  # of what the search gained over no penalty is left on fresh splits


@dataclass(frozen=True)
class Found:
    """All that an answer's checks look at. looks: earlier ones at the same sealed rows."""

    evidence: Evidence
    recommended: Recommended
    refits: Refits
    sealed: SealedTest
    prepared: Prepared
    looks: int
    strengths: tuple[float, float] | None = None

    @property
    def refit(self) -> Refit:
        """Return the refit that is recommended; beside the constant, the best one's."""
        return self.refits.by_role[role_of(self.recommended.choice)]

    @property
    def trial(self) -> StudyTrial:
        """Return its trial."""
        return self.refit.trial


def checks(found: Found) -> list[Check]:
    """Return what was found: of the search and its models, then of the data."""
    prepared, refit = found.prepared, found.refit
    selected = selected_columns(refit.model.parameters, prepared) or frozenset[str]()
    return [
        *(check for one in CHECKS for check in one(found)),
        *data_checks(prepared),
        *duplicates_across_seal(prepared),
        *correlated_inputs(prepared, str(refit.trial.params["penalty"]), selected),
    ]


def _best_at_edge(found: Found) -> Iterator[Check]:
    """Tell the dimensions of the best trial that lie at an end of their range."""
    best, spec = found.evidence.chosen["best"], found.evidence.spec
    is_empty = nonzero_weights(best) == 0  # which it is at every larger strength
    ends: list[str] = []
    for name, value in best.params.items():
        space = getattr(spec.search, "strength" if name == "lambda" else name, None)
        low, high, log = _range(space, found.strengths if name == "lambda" else None)
        if isinstance(value, str) or not low < high:
            continue
        place = _place(float(value), low, high, log)
        if place <= EDGE or place >= 1 - EDGE:
            side = "lower" if place <= EDGE else "upper"
            if is_empty and name == "lambda" and side == "upper":
                continue
            ends.append(f"{name} = {number(float(value))} at its {side} end")
    if ends:
        yield Check(
            code="best_at_edge",
            sentence=f"The best trial lies at the edge of the search: {', '.join(ends)}.",
            remedy="Widen that range and extend the search: the best may lie beyond it."
            if spec.kind == "search"
            else "Make a path of strengths that go further: the best may lie beyond these.",
        )


def _range(space: object, strengths: tuple[float, float] | None) -> tuple[float, float, bool]:
    if isinstance(space, Range):
        return space.low, space.high, space.log
    if space == "auto" and strengths is not None:
        return *strengths, True
    return 0.0, 0.0, False


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log and value > 0:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)


def _still_improving(found: Found) -> Iterator[Check]:
    """Tell a search whose last fifth still found something better that counts."""
    spec, best = found.evidence.spec, found.evidence.chosen["best"]
    if spec.kind == "path":  # whose trials learn nothing from each other
        return
    numbers = sorted(trial.number for trial in found.evidence.candidates)
    late = numbers[-max(1, len(numbers) // 5)]
    before = [loss_of(t, spec) for t in found.evidence.candidates if t.number < late]
    if best.number < late or not before:
        return
    gain, error = min(before) - loss_of(best, spec), best.facts.standard_error or 0.0
    if gain > IMPROVING * error:
        yield Check(
            code="still_improving",
            sentence=f"The last fifth of the {len(numbers)} complete trials improved the best by "
            f"{number(gain)}.",
            remedy="Extend the search: more trials are likely to find a better one.",
        )


def _unsettled_zeros(found: Found) -> Iterator[Check]:
    """Tell a recommended model whose weights still went to zero, or came back."""
    sparse = PENALTIES[found.evidence.member(found.trial).penalty].sparse
    if found.recommended.choice != "baseline" and sparse and not found.refit.model.settled:
        yield Check(
            code="unsettled_zeros",
            sentence="The zeros of the recommended model had not come to rest when its training "
            "ended, so which weights are zero is not settled.",
            remedy="More epochs let them settle; until then read its features as a ranking.",
        )


def _unstable_refit(found: Found) -> Iterator[Check]:
    losses = found.recommended.confirmation and found.recommended.confirmation.initialisations
    diverged = [m for m in found.refits.models[found.trial.number] if m.diverged_at]
    if diverged or (losses and min(losses) > 0 and max(losses) > UNSTABLE * min(losses)):
        told = ", ".join(number(loss) for loss in losses or [])
        more = f", and {len(diverged)} diverged" if diverged else ""
        yield Check(
            code="unstable_refit",
            sentence=f"Refits from other initial weights differ: sealed losses {told}{more}.",
            remedy="A smaller learning rate, more epochs or a stronger penalty steadies it; "
            "report the spread beside the score.",
        )


def _folds_disagree(found: Found) -> Iterator[Check]:
    """Tell a recommended trial that beats the unpenalised one on some folds and loses on others."""
    evidence = found.evidence
    if evidence.confirmed is None or "none" not in evidence.chosen:
        return
    trial = found.trial
    own = evidence.confirmed.values(evidence.member(trial))
    its = evidence.confirmed.values(evidence.member(evidence.chosen["none"]))
    if own is None or its is None or trial.params["penalty"] == UNPENALISED:
        return
    better = int((as_loss(its - own, evidence.spec.maximise) > 0).sum())
    if 0.25 * len(own) < better < 0.75 * len(own):
        yield Check(
            code="folds_disagree",
            sentence=f"The penalty helps on {better} of {len(own)} fresh validation parts and "
            "not on the others.",
            remedy="Do not read much into the difference; more rows or repeats would tell.",
        )


def _overtuning(found: Found) -> Iterator[Check]:
    """Tell a gain over no penalty that the search saw and fresh splits do not."""
    evidence, spec = found.evidence, found.evidence.spec
    best, none = evidence.chosen["best"], evidence.chosen.get("none")
    if evidence.confirmed is None or none is None or best.number == none.number:
        return
    test = evidence.confirmed.against(evidence.member(best), evidence.member(none))
    gain = loss_of(none, spec) - loss_of(best, spec)
    worse = paired_differences(none, best, spec)
    clear = worse is not None and gain > paired_error(worse, spec)
    if test is not None and clear and test.difference < OVERTUNED * gain:
        yield Check(
            code="overtuning",
            sentence=f"The search saw a gain of {number(gain)} over no penalty; fresh splits "
            f"show {number(test.difference)}.",
            remedy="The search has fitted its folds: use repeated folds or fewer dimensions.",
        )


def _worse_than_linear(found: Found) -> Iterator[Check]:
    linear = [each for each in found.recommended.comparisons if each.rival == "linear"]
    if linear and linear[0].difference < 0:
        yield Check(
            code="worse_than_linear",
            sentence="A plain linear model does no worse on fresh splits: better by "
            f"{number(-linear[0].difference)} (p = {linear[0].p:.2g}).",
            remedy='Search {"model": {"kind": "linear"}}: it is simpler, and exact.',
        )


def _separable(found: Found) -> Iterator[Check]:
    trials, spec = found.evidence.candidates, found.evidence.spec
    folds = max((trial.facts.separated_folds or 0 for trial in trials), default=0)
    bounded = [trial for trial in trials if not trial.facts.separated_folds]
    strengths = [float(trial.params.get("lambda", 0)) for trial in bounded]
    least = min((own for own in strengths if own > 0), default=None)
    bound = "" if least is None else f"; λ = {number(least)} is the least tried that bounds it"
    if folds:
        yield Check(
            code="separable",
            sentence=f"In {folds} of {spec.folds} training splits the inputs tell the classes "
            "apart without an error. There the unpenalised optimum is infinite, and trials "
            f"that no penalty bounds show where their solver stopped{bound}.",
            remedy="Use a model that its penalty bounds.",
        )


def _seal_seen_before(found: Found) -> Iterator[Check]:
    own = found.looks
    if own > 0:
        yield Check(
            code="seal_seen_before",
            sentence=f"Answers have looked at these sealed rows {own} "
            f"{'time' if own == 1 else 'times'} before: whoever chose this job by them has used "
            "them up a little.",
            remedy="Take another seed, or new rows, for a score that nobody has seen.",
        )


CHECKS: tuple[Callable[[Found], Iterator[Check]], ...] = (
    _best_at_edge,
    _still_improving,
    _unsettled_zeros,
    _unstable_refit,
    _folds_disagree,
    _overtuning,
    _worse_than_linear,
    _separable,
    _seal_seen_before,
)
