"""The verdict: what the answer claims, in words, and what it does not know."""

from __future__ import annotations

from dataclasses import dataclass

from ridgeway.answers import Claim, Comparison, Confirmation, Verdict
from ridgeway.spec.losses import objective_label
from ridgeway.spec.names import UNPENALISED, penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from ridgeway.words import number
from workers.answer.comparing import LEAST_ROWS


@dataclass(frozen=True)
class Findings:
    """What a verdict is made of: the recommended trial, and what it was compared with.

    Beside the constant, the trial is the best one. is_limited: the constant is recommended as no
    trial keeps to the job's limits. constant, unpenalised, best: the trial against
    each; None where it is the same, or one of the two is missing. features: used, of how many; None
    where it isn't known. rows: sealed ones, or of one weight how many would tell as much.
    """

    spec: JobSpec
    trial: StudyTrial
    is_constant: bool
    is_limited: bool
    constant: Comparison | None
    unpenalised: Comparison | None
    best: Comparison | None
    features: tuple[int, int] | None
    rows: int
    confirmation: Confirmation | None


def verdict(found: Findings) -> Verdict:
    """Put into words what is recommended, what it wins and at which risk."""
    penalised = found.trial.params["penalty"] != UNPENALISED
    compared = found.unpenalised if penalised and not found.is_constant else found.constant
    claim: Claim = "none_detected"
    if found.is_constant and found.is_limited:
        claim, sentences = "beyond_limits", [_beyond_limits(found)]
    elif found.is_constant:
        claim, sentences = "no_signal", [_no_signal(found)]
    else:
        if penalised and found.unpenalised is not None and found.unpenalised.claimed:
            claim = "benefit"
        first = _of_penalty(found) if penalised else _no_penalty(found)
        sentences = [first, _beyond_constant(found), _cost(found), _optimism(found)]
    words = " ".join(sentence for sentence in sentences if sentence)
    words = words[:1].upper() + words[1:]  # most penalties' names are small
    if compared is None:
        return Verdict(sentence=words, claim=claim)
    difference, interval, p = compared.difference, compared.interval, compared.p
    return Verdict(sentence=words, claim=claim, difference=difference, interval=interval, p=p)


def _beyond_limits(found: Findings) -> str:
    """Tell that the constant is there for want of a trial within limits."""
    limits = found.spec.at_most
    asked = [] if limits is None else list(limits.model_dump(exclude_none=True).items())
    named = " and ".join(f"`at_most.{name}` {most}" for name, most in asked)
    words = f"no trial keeps to {named}, so the constant is recommended"
    if found.constant is None:
        return f"{words}."
    return (
        f"{words}: on fresh splits the {_objective(found)} of the best trial beyond that, "
        f"{phrase(found.trial)}, is {_apart(found, found.constant)}, {_risk(found.constant)}."
    )


def _no_signal(found: Findings) -> str:
    words = "No evidence was found that these inputs help, so the constant is recommended"
    if found.constant is None:
        return f"{words}."
    name = phrase(found.trial)
    if found.constant.difference == 0 and found.constant.interval == (0, 0):
        return f"{words}: the best trial, {name}, predicts the constant as well."
    return (
        f"{words}: on fresh splits the {_objective(found)} of the best trial, {name}, "
        f"is {_apart(found, found.constant)}, {_risk(found.constant)}; {_power(found.constant)}."
    )


def _no_penalty(found: Findings) -> str:
    return f"No penalty is recommended: a trial without one is the choice{_uses(found)}."


def _of_penalty(found: Findings) -> str:
    """Tell what the recommended penalty wins against none: claimed, seen in part, or not seen."""
    name, against = phrase(found.trial), found.unpenalised
    first = name[:1].upper() + name[1:]  # where a sentence begins with it
    if found.confirmation is None:
        return f"{first} is recommended{_uses(found)}. It could not be confirmed on fresh splits."
    if against is None:
        return (
            f"{first} is recommended{_uses(found)}. No unpenalised model was complete, so nothing "
            "is said about what a penalty gains."
        )
    if against.claimed:
        return (
            f"{first} {_verb(found)} by {_amount(against)} against no penalty, {_risk(against)}"
            f"{_uses(found)}."
        )
    if against.interval[0] > 0:
        return (
            f"{first} is recommended{_uses(found)}. On fresh splits it {_verb(found)} by "
            f"{_amount(against)} against no penalty, {_risk(against)}; "
            f"{_unclaimed(found, against)}."
        )
    return (
        "No detectable difference to no penalty: on fresh splits the "
        f"{_objective(found)} of {name} is {_apart(found, against)}, {_risk(against)}; "
        f"{_power(against)}. It is recommended{_uses(found)}."
    )


def _beyond_constant(found: Findings) -> str:
    against = found.constant
    if against is None:
        return ""
    if against.claimed:
        return f"It beats the constant by {_amount(against)}."
    if against.interval[0] > 0:
        return (
            f"On fresh splits it beats the constant by {_amount(against)}; "
            f"{_unclaimed(found, against)}."
        )
    return f"It is not shown to beat the constant, {_risk(against)}."


def _cost(found: Findings) -> str:
    """Tell what simplicity costs, where fresh splits tell the two apart at all."""
    if found.best is None:
        return ""
    better = found.best.difference >= 0
    words = "costs nothing on fresh splits" if better else f"costs {number(-found.best.difference)}"
    low, high = (-end for end in reversed(found.best.interval))
    return f"Beside the best trial its simplicity {words} ({number(low)} to {number(high)})."


def _optimism(found: Findings) -> str:
    optimism = None if found.confirmation is None else found.confirmation.optimism
    if optimism is None or optimism < 0.01:
        return ""
    return f"On fresh splits the best trial's value is {100 * optimism:.0f} % worse than it looked."


# --- words ------------------------------------------------------------------------------------


def phrase(trial: StudyTrial) -> str:
    """Name a trial by its penalty and strength."""
    penalty = str(trial.params["penalty"])
    label = penalty_row(penalty).label
    strength = trial.params.get("lambda")
    return label if strength is None else f"{label} at λ = {number(float(strength))}"


def _objective(found: Findings) -> str:
    return objective_label(found.spec.objective, found.spec.loss_name)


def _verb(found: Findings) -> str:
    return f"{'raises' if found.spec.maximise else 'lowers'} the {_objective(found)}"


def _amount(against: Comparison) -> str:
    low, high = against.interval
    return f"{number(against.difference)} ({number(low)} to {number(high)})"


def _apart(found: Findings, against: Comparison) -> str:
    """Return how far, and to which side: `0.02 lower (-0.01 to 0.05)`."""
    better, worse = ("higher", "lower") if found.spec.maximise else ("lower", "higher")
    low, high = against.interval
    side, sign = (better, 1) if against.difference >= 0 else (worse, -1)
    ends = sorted((sign * low, sign * high))
    return f"{number(abs(against.difference))} {side} ({number(ends[0])} to {number(ends[1])})"


def _risk(against: Comparison) -> str:
    return "p < 0.001" if against.p < 0.001 else f"p = {against.p:.2g}"


def _uses(found: Findings) -> str:
    if found.features is None:
        return ""
    used, of = found.features
    return f", and uses {used} of {of} columns"


def _power(against: Comparison) -> str:
    return f"these rows could have shown a difference of {number(against.detectable)}"


def _unclaimed(found: Findings, against: Comparison) -> str:
    """Return why a difference that fresh splits show is not claimed."""
    if found.rows < LEAST_ROWS:
        if found.spec.weights is None:
            return f"{found.rows} sealed rows are too few to claim it ({LEAST_ROWS})"
        told = f"the sealed rows count by their weights as {found.rows}"
        return f"{told}, too few to claim it ({LEAST_ROWS})"
    if against.sealed_interval is None:
        return "no sealed rows bear it out"
    low, high = against.sealed_interval
    return f"the sealed rows do not bear it out ({number(low)} to {number(high)})"
