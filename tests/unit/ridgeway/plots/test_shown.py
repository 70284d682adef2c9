"""Plots of what only the answer's lease knows: they show its numbers, and say what they found."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from scripted import make_answered_job
from shown_parts import (
    make_classes,
    make_flicker,
    make_learning,
    make_numbers,
    make_shown,
    make_weights,
)

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import Picture, draw
from ridgeway.plots.theme import NARROW, THEMES
from ridgeway.shown import Shown
from ridgeway.spec.wording import parse_spec

NAMES = ("learning", "sealed", "weights", "flicker")


def evidence_of(shown: Shown | None, **spec: Any) -> Evidence:
    """Return the evidence that these plots read."""
    given = parse_spec({"dataset": "wine", "task": "classification", **spec})
    answer = make_answered_job(spec=given).recommended
    return cast("Evidence", SimpleNamespace(shown=shown, spec=given, answer=answer))


def drawn(name: str, shown: Shown, **spec: Any) -> Picture:
    picture = draw(PLOTS[name], evidence_of(shown, **spec), THEMES["light"])
    assert picture is not None
    return picture


def rows(picture: Picture, *fields: str) -> list[dict[str, Any]]:
    """The rows of those data that have all of the fields."""
    sets = picture.spec["datasets"].values()
    return [row for rows in sets for row in rows if set(fields) <= set(row)]


@pytest.mark.parametrize("name", NAMES)
def test_without_its_part_there_is_no_plot(name: str) -> None:
    for shown in (None, Shown()):
        assert draw(PLOTS[name], evidence_of(shown), THEMES["light"]) is None


@pytest.mark.parametrize("part", [{}, {"sealed": make_numbers()}, {"sealed": make_classes("abc")}])
@pytest.mark.parametrize("name", NAMES)
def test_on_a_phone_and_in_the_dark_it_is_a_valid_picture_that_fits(
    name: str, part: dict[str, Any]
) -> None:
    shown, theme = make_shown().model_copy(update=part), THEMES["dark"].wide(NARROW)
    chart = PLOTS[name].draw(evidence_of(shown), theme)
    assert chart is not None
    chart.to_dict(validate=True)
    picture = draw(PLOTS[name], evidence_of(shown), theme)
    assert picture is not None
    text = json.dumps(picture.spec, allow_nan=False)
    assert len(text) < 60_000
    head = picture.render("svg")[:400].decode()
    assert float(head.split('width="')[1].split('"')[0]) <= NARROW * 1.06


def test_learning_shows_both_lines_of_each_trial() -> None:
    learning = make_learning()
    picture = drawn("learning", Shown(learning=learning))
    for place, curve in enumerate(learning.curves):
        for name, line in (("training", curve.training), ("validation", curve.validation)):
            told = [row for row in rows(picture, "line", "epoch") if row["line"] == name]
            own = told[30 * place : 30 * (place + 1)]
            assert [(row["epoch"], row["value"]) for row in own] == list(
                zip(curve.epochs, line, strict=True)
            )
    assert [row["epoch"] for row in rows(picture, "epoch") if len(row) == 1] == [20]
    assert picture.title.startswith("With L1 at λ = 0.0100 the loss ends 0.100 worse on rows")
    assert picture.title.endswith("without a penalty, 0.200 worse")


def test_learning_says_better_where_higher_is() -> None:
    shown = Shown(learning=make_learning(["l1"]))
    picture = drawn("learning", shown, objective="accuracy")
    assert "accuracy ends 0.100 better" in picture.title


def test_learning_of_a_training_that_diverged_is_not_drawn() -> None:
    learning = make_learning(["l1"])
    curve = learning.curves[0].model_copy(update={"training": [None] * 30})
    shown = Shown(learning=learning.model_copy(update={"curves": [curve]}))
    assert draw(PLOTS["learning"], evidence_of(shown), THEMES["light"]) is None


def test_sealed_shows_curves_and_which_bins_hold_the_prediction() -> None:
    classes = make_classes(["no", "maybe", "yes"])
    picture = drawn("sealed", Shown(sealed=classes))
    told = rows(picture, "line", "bold")
    assert {row["line"] for row in told if row["bold"]} == {2}  # the last has the least area
    for place, own in enumerate(classes.classes):
        line = [(row["x"], row["y"]) for row in told if row["line"] == place]
        assert line == list(zip(own.false_positive_rate, own.true_positive_rate, strict=True))
    assert len(rows(picture, "low", "high")) == 6
    assert picture.title == (
        "ROC AUC is lowest for yes: 0.890 (0.860 to 0.920); the intervals of 3 of 6 bins hold what "
        "is predicted"
    )


def test_sealed_says_within_what_predictions_are() -> None:
    numbers = make_numbers(101)
    picture = drawn("sealed", Shown(sealed=numbers))
    assert picture.title == (
        "Half of the sealed rows are predicted within 0.500 of the truth, nine in ten within 0.900"
    )
    assert numbers.numbers is not None
    told = {(row["x"], row["y"]) for row in rows(picture, "x", "y")}
    assert set(zip(numbers.numbers.predicted, numbers.numbers.truth, strict=True)) <= told
    assert set(zip(numbers.numbers.predicted, numbers.numbers.residuals, strict=True)) <= told


def test_weights_show_zeros_as_bars_of_their_own() -> None:
    picture = drawn("weights", Shown(weights=make_weights()))
    bars = {row["name"]: row["to"] / row["end"] for row in rows(picture, "name", "to")}
    assert bars == pytest.approx({"L1": 0.6, "L2": 0.0, "no penalty": 0.0})
    bins = [row for row in rows(picture, "from", "to", "bottom") if "name" not in row]
    heights = [row["bottom"] - row["top"] for row in bins]
    counts = [5, 15, 15, 5, 10, 40, 40, 10, 10, 40, 40, 10]
    assert [own / max(heights) for own in heights] == pytest.approx([own / 40 for own in counts])
    assert picture.title == "L1 sets 60 of 100 weights to exactly zero; L2 sets none"


def test_flicker_shows_each_step_and_every_zero() -> None:
    picture = drawn("flicker", Shown(flicker=make_flicker()))
    told = rows(picture, "step", "zero")
    assert {row["step"] for row in told} == set(range(81, 121))
    assert sum(row["zero"] for row in told) == 80
    assert picture.title == (
        "The subgradient jumps about zero and sets no weight to it; the proximal step sets 5 of 10 "
        "to exactly zero"
    )
