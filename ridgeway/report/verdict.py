"""The first screen: what is recommended, and what the answer does not know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ridgeway.answers import Chosen, Comparison, Recommended, RivalName
from ridgeway.plots.evidence import Evidence
from ridgeway.spec.losses import objective_label
from ridgeway.spec.names import OBJECTIVE_ROWS, UNPENALISED, penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.words import number

RIVALS: dict[RivalName, str] = {
    "none": "no penalty",
    "baseline": "the constant",
    "linear": "the plain linear model",
    "best": "the best trial",
    "twin": "the same model with λ = 0",
}
LEAST_ROWS = 100  # sealed ones, without which nothing is claimed
CLAIMS = {
    "benefit": "A penalty helps",
    "none_detected": "No difference detected",
    "no_signal": "No signal found",
    "beyond_limits": "Nothing keeps to the limits",
}
UNCLAIMED = "A gain is seen, and not claimed"


@dataclass(frozen=True)
class Fact:
    """A number with its name and a line about it."""

    name: str
    value: str
    note: str = ""


def objective_of(spec: JobSpec) -> str:
    """Return what trials are judged by, in words."""
    return objective_label(spec.objective, spec.loss_name)


def claim_of(answer: Recommended) -> str:
    """Return in a few words what the verdict claims; nothing of an answer without a verdict."""
    if answer.verdict is None:
        return ""
    gains = (own.interval[0] > 0 for own in answer.comparisons if own.rival == "none")
    if answer.verdict.claim == "none_detected" and any(gains):
        return UNCLAIMED
    return CLAIMS[answer.verdict.claim]


def chosen_of(answer: Recommended) -> Chosen | None:
    """Return the trial that is recommended; None beside the constant."""
    if answer.choice == "baseline":
        return None
    return answer.best if answer.choice == "best" else answer.simplest


def named(chosen: Chosen | None) -> str:
    """Name a model by its penalty and strength."""
    if chosen is None:
        return "The constant"
    row = penalty_row(str(chosen.params.get("penalty", UNPENALISED)))
    label = row.label[:1].upper() + row.label[1:]
    strength = chosen.params.get("lambda")
    return label if strength is None else f"{label}, λ = {number(strength)}"


def facts(evidence: Evidence, answer: Recommended) -> list[Fact]:
    """Return the few numbers that stand under the verdict."""
    chosen, test = chosen_of(answer), answer.test
    scores = {"simplest": test.simplest, "best": test.best, "baseline": test.baseline}
    found = [_recommended(answer, chosen)]
    interval = "" if test.interval is None else f"95 %: {_span(test.interval)}"
    score = number(scores[answer.choice])
    found.append(
        Fact(f"{_capital(OBJECTIVE_ROWS[test.metric].label)} on sealed rows", score, interval)
    )
    if chosen is not None and chosen.selected_features is not None:
        every = _columns(evidence)
        of = f"of {every} input columns" if every else "input columns"
        found.append(Fact("Features", str(chosen.selected_features), of))
    against = next((own for own in answer.comparisons if own.rival == "none"), None)
    against = against or next((own for own in answer.comparisons if own.rival == "baseline"), None)
    if against is not None:
        found.append(
            Fact(
                f"Gain on {RIVALS[against.rival]}",
                number(against.difference),
                f"95 %: {_span(against.interval)}; {risk(against)}",
            )
        )
    return found


def _recommended(answer: Recommended, chosen: Chosen | None) -> Fact:
    if chosen is None:
        return Fact("Recommended", "The constant", "the mean, or the shares of the classes")
    name, _, strength = named(chosen).partition(", ")
    best = "" if answer.best.number == chosen.number else f"; the best is {answer.best.number}"
    note = f"{strength}, trial {chosen.number}" if strength else f"trial {chosen.number}"
    return Fact("Recommended", name, note + best)


def _columns(evidence: Evidence) -> int | None:
    return len(evidence.features.features) if evidence.features is not None else None


def _span(interval: tuple[float, float]) -> str:
    return f"{number(interval[0])} to {number(interval[1])}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def risk(compared: Comparison) -> str:
    """Write the p value, which no line should break."""
    return "p\u00a0<\u00a00.001" if compared.p < 0.001 else f"p\u00a0=\u00a0{number(compared.p)}"


def unknown(evidence: Evidence, answer: Recommended) -> list[str]:
    """Return, in sentences, what the answer does not know."""
    found = list(_undecided(evidence, answer))
    found += _of_sealed_rows(answer)
    confirmation = answer.confirmation
    if confirmation is None:
        found.append(
            "The finalists were not trained again on fresh splits: values are the search's own."
        )
    elif len(refits := confirmation.initialisations) > 1:
        found.append(
            f"Another initialisation gives another model: the sealed losses of {len(refits)} "
            f"refits lie between {number(min(refits))} and {number(max(refits))}."
        )
    found.append(
        "It knows these rows, these inputs and the searched ranges alone: rows of another time or "
        "place may differ."
    )
    return found


def _undecided(evidence: Evidence, answer: Recommended) -> Iterator[str]:
    """Yield what is not claimed; of rivals that differ by the same, such as a twin, the first."""
    objective, told = objective_of(evidence.spec), set[tuple[float, float]]()
    for own in answer.comparisons:
        if own.claimed or own.rival == "best" or own.interval in told:
            continue
        told.add(own.interval)
        rival, by = RIVALS[own.rival], f"{number(own.difference)} ({_span(own.interval)})"
        if own.interval[0] > 0:
            few = answer.test.rows < LEAST_ROWS
            why = "too few sealed rows to agree" if few else "sealed rows that do not agree"
            yield f"On fresh splits it beats {rival} by {by}; that is not claimed, for {why}."
        elif own.interval[1] < 0:
            yield f"Against {rival} it is not better but worse: the {objective} by {by}."
        else:
            yield (
                f"Whether it is better than {rival}: the {objective} is by {by} on its side. "
                f"{own.folds} folds show differences from {number(own.detectable)} on, four times "
                "of five."
            )


def _of_sealed_rows(answer: Recommended) -> Iterator[str]:
    test = answer.test
    if test.rows < LEAST_ROWS:
        yield f"{test.rows} sealed rows are too few for a claim, which needs {LEAST_ROWS}."
    if test.evaluations > 1:
        yield (
            f"The sealed rows have been opened {test.evaluations} times: scores on them are no "
            "longer those of rows that nobody has seen."
        )
