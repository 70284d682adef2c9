"""What plots have in common: titles, data, axes of strengths, and which trials are drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt

from ridgeway.answers import Chosen
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.text import caption_lines, plain, title_lines
from ridgeway.plots.theme import Theme
from ridgeway.spec.losses import objective_label
from ridgeway.spec.names import PENALTY_ROWS, UNPENALISED, PenaltyName, penalty_row
from ridgeway.words import number

AXIS = 58  # pixels beside a frame for an axis' labels and title
PADDING = 16  # pixels of both sides of a picture together
MOST_NAMED = 12  # penalties that are named beside a frame

LONGEST_LABEL = max(len(row.label) for row in PENALTY_ROWS.values())

Layers: TypeAlias = alt.LayerChart | alt.FacetChart

WORDS = {
    "lambda": "λ",
    "l1_ratio": "L1 ratio",
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
}


def title(theme: Theme, finding: str, *caption: str) -> alt.TitleParams:
    """Return a title: the finding, and a caption of one sentence or more below it."""
    told = " ".join(each for each in caption if each)
    lines = title_lines(finding, theme.width)
    if not told:
        return alt.TitleParams(text=lines)
    return alt.TitleParams(text=lines, subtitle=caption_lines(told, theme.width))


def data(rows: Iterable[Mapping[str, Any]]) -> alt.InlineData:
    """Return rows as a plot's data; they hold finite numbers, texts, booleans and None."""
    # As text: Altair copies and checks lists value by value, at every step of a chart's making.
    text = json.dumps([dict(row) for row in rows], allow_nan=False)
    return alt.InlineData(values=text, format=alt.JsonDataFormat(type="json"))


def frame(theme: Theme, left: int = AXIS, right: int = 0) -> int:
    """Return the width of a frame that has so many pixels beside it."""
    return max(120, theme.width - PADDING - left - right)


def names_width(penalties: Iterable[PenaltyName]) -> int:
    """Return the pixels that the names of penalties take, in bold and with space beside them."""
    return 18 + 7 * max((len(label(name)) for name in penalties), default=0)


def label(penalty: PenaltyName) -> str:
    """Return a penalty's name for people; a plug-in's is made harmless, and no longer than ours."""
    return plain(penalty_row(penalty).label, LONGEST_LABEL)


def word(parameter: str) -> str:
    """Return a parameter's name for people."""
    return plain(WORDS.get(parameter, parameter.replace("_", " ")))


def measure(evidence: Evidence) -> str:
    """Return the name of what trials are judged by."""
    return objective_label(evidence.spec.objective, evidence.spec.loss_name)


def folds(evidence: Evidence) -> str:
    """Say over what a value is a mean."""
    count = evidence.spec.folds
    return f"mean over {count} folds" if count > 1 else "on the validation rows"


def chosen_of(evidence: Evidence) -> Chosen | None:
    """Return the recommended trial; None without an answer, or where the constant is."""
    answer = evidence.answer
    if answer is None or answer.choice == "baseline":
        return None
    return answer.best if answer.choice == "best" else answer.simplest


def strength_of(chosen: Chosen | None) -> float | None:
    """Return the λ of a trial that has one above 0."""
    strength = None if chosen is None else chosen.params.get("lambda")
    return strength if isinstance(strength, float) and strength > 0 else None


def with_strength(chosen: Chosen) -> str:
    """Name a trial's penalty, and its λ where it has one."""
    name, strength = label(str(chosen.params.get("penalty"))), strength_of(chosen)
    return name if strength is None else f"{name} at λ = {number(strength)}"


def capital(text: str) -> str:
    """Return a text with its first letter as a sentence has it; λ stays λ."""
    return text[:1].upper() + text[1:] if text.isascii() else text


def decades(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, or 1, 2 and 5 times them of a few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1,) if last - first > 3 else (1, 2, 5)
    found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    return [tick for tick in found if low <= tick <= high]


def strength_axis(low: float, high: float, title: str | None) -> alt.Axis:
    """Return the axis of λ from low to high, logarithmic."""
    return alt.Axis(
        title=title,
        grid=False,
        values=decades(low, high),
        labelExpr="format(datum.value, datum.value < 0.001 || datum.value > 99999 ? '~e' : '~g')",
        labelOverlap=True,
    )


def haloed(base: alt.Chart, theme: Theme, **options: Any) -> list[alt.Chart]:
    """Write text that can be read above lines and dots: `base` encodes place and text."""
    own: dict[str, Any] = {"color": theme.ink, **options}
    below = {**own, "stroke": theme.ground, "strokeWidth": 4, "strokeJoin": "round"}
    mark: Any = base.mark_text
    return [mark(**below), mark(**own)]


def rule_at(value: float, field: str = "at") -> alt.InlineData:
    """Return the data of one line."""
    return data([{field: value}])


@dataclass(frozen=True)
class Point:
    """A complete trial of one penalty, as plots of trials have it."""

    number: int
    value: float
    penalty: PenaltyName
    strength: float | None
    place: int  # of the trial in the columns


def points(evidence: Evidence) -> list[Point]:
    """Return the complete trials that have a value, the best first."""
    trials = evidence.trials
    found = [
        Point(trials.number[place], value, trials.penalty[place] or UNPENALISED, strength, place)
        for place, (state, value, strength) in enumerate(
            zip(trials.state, trials.value, trials.strength, strict=True)
        )
        if state == "complete" and value is not None
    ]
    sign = -1 if evidence.spec.maximise else 1
    return sorted(found, key=lambda point: (sign * point.value, point.number))


def penalties_of(found: Sequence[Point]) -> list[PenaltyName]:
    """Return the penalties of these trials, that of the first first."""
    return list(dict.fromkeys(point.penalty for point in found))


def thinned(found: Sequence[Point], most: int) -> list[Point]:
    """Return the best half of `most`, and as many of the others, evenly spread; none twice."""
    if len(found) <= most:
        return list(found)
    first, rest = found[: most // 2], found[most // 2 :]
    step = math.ceil(len(rest) / (most - most // 2))
    return [*first, *rest[::step]]


def sampled(evidence: Evidence, drawn: int) -> str:
    """Say which trials are drawn, where not all are; `drawn` counts them."""
    trials = evidence.trials
    complete = sum(state == "complete" for state in trials.state)
    if trials.every == 1 and drawn == complete:
        return ""
    if trials.every == 1:
        return f"{drawn:,} of {complete:,} complete trials are drawn, the best among them."
    return (
        f"{drawn:,} trials are drawn: from every {ordinal(trials.every)} of {trials.there_are:,}, "
        "and those that the answer names."
    )


def ordinal(count: int) -> str:
    """Write 2nd, 3rd, 4th, ..."""
    last = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}{last}"


def reach_of(evidence: Evidence, found: Sequence[Point]) -> float:
    """Return by how much values at least differ in a frame: twice the best's standard error.

    Or as far as the recommended trial is from the best.
    """
    best, trials = found[0], evidence.trials
    error = 2 * (trials.standard_error[best.place] or 0.0)
    chosen = chosen_of(evidence)
    return error if chosen is None else max(error, 1.1 * abs(chosen.value - best.value))


def cut_at(
    values: Sequence[float], maximise: bool, reach: float, room: float = 0.06
) -> tuple[float, float]:
    """Return the range of values worth a frame: the worst may lie far out, and are left beyond.

    Beyond the quartile of the worse ones by twice its distance to the best; `reach` is shown.
    room: at both ends, as a share of the range.
    """
    losses = sorted(-value if maximise else value for value in values)
    best, worst = losses[0], losses[-1]
    quartile = losses[(3 * (len(losses) - 1)) // 4]
    limit = min(worst, max(quartile + 2 * (quartile - best), best + reach))
    space = room * (limit - best) if limit > best else 0.06 * abs(best) or 1.0
    low, high = best - space, limit + space
    return (-high, -low) if maximise else (low, high)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places apart until neighbours have a gap between them, inside low to high."""
    order = sorted(range(len(places)), key=lambda each: places[each])
    moved = [0.0] * len(places)
    past = low - gap
    for each in order:
        past = moved[each] = max(places[each], past + gap)
    past = high + gap
    for each in reversed(order):
        past = moved[each] = min(moved[each], past - gap)
    return moved


def key(penalties: Sequence[PenaltyName], theme: Theme) -> alt.Chart:
    """Write the names of penalties in their colours, one below the other, beside the frame."""
    rows = [
        {"name": label(name), "colour": theme.penalty(name), "pixel": 10 + 18 * place}
        for place, name in enumerate(penalties[:MOST_NAMED])
    ]
    return (
        alt.Chart(data(rows))
        .mark_text(align="left", dx=12, fontWeight=600, fontSize=12)
        .encode(
            x=alt.value("width"),
            y=alt.Y("pixel:Q", scale=None, axis=None),
            text="name:N",
            color=alt.Color("colour:N", scale=None),
        )
    )
