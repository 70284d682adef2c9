"""What plots share: colours, names, ranges, the front, the importance of parameters."""

from __future__ import annotations

import itertools
import unicodedata
from dataclasses import replace

import numpy as np
import optuna
import pytest
from drawing import make_evidence, make_trials
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from ridgeway.jobs.fronts import pareto_front
from ridgeway.plots import front, parts
from ridgeway.plots.palette import colour
from ridgeway.plots.ped_anova import importance_of
from ridgeway.plots.text import plain, title_lines
from ridgeway.plots.theme import THEMES
from ridgeway.spec.names import PENALTY_NAMES

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
NOTICED = 14.0  # a distance in CIE Lab that nobody overlooks; 2.3 is just noticeable
FINITE = st.floats(-1e6, 1e6)


def linear(hexed: str) -> np.ndarray:
    """sRGB as linear light."""
    own = np.array([int(hexed[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(own <= 0.04045, own / 12.92, ((own + 0.055) / 1.055) ** 2.4)


def luminance(hexed: str) -> float:
    return float(linear(hexed) @ [0.2126, 0.7152, 0.0722])


def lab(light: np.ndarray) -> np.ndarray:
    """Linear RGB as CIE Lab."""
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    scaled = np.array(to_xyz) @ light.clip(0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("vision", VISIONS)
def test_every_eye_tells_the_penalties_apart(vision: str, theme: str) -> None:
    dark = theme == "dark"
    seen = {name: lab(VISIONS[vision] @ linear(colour(name, dark))) for name in PENALTY_NAMES}
    for first, second in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[first] - seen[second]) > NOTICED, (first, second)


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_penalties_and_text_stand_out_from_the_ground(theme) -> None:
    """WCAG 2.2: 3 : 1 for what is drawn, 4.5 : 1 for text."""
    ground = luminance(theme.ground)

    def contrast(hexed: str) -> float:
        low, high = sorted((luminance(hexed), ground))
        return (high + 0.05) / (low + 0.05)

    assert min(contrast(theme.penalty(name)) for name in (*PENALTY_NAMES, "mine", "b")) >= 3
    assert min(contrast(theme.ink), contrast(theme.muted)) >= 4.5


def test_a_plug_ins_colour_follows_from_its_name_and_is_no_other_penaltys() -> None:
    own = {colour(f"mine {place}") for place in range(50)}
    assert len(own) > 2
    assert not own & {colour(name) for name in PENALTY_NAMES}
    assert colour("mine") == colour("mine")


@settings(max_examples=40)
@given(st.text(max_size=80), st.integers(4, 40))
def test_a_name_in_a_picture_is_one_short_line_of_printable_letters(
    name: str, longest: int
) -> None:
    shown = plain(name, longest)
    assert 0 < len(shown) <= max(longest, len("(no name)"))
    assert not [letter for letter in shown if unicodedata.category(letter)[0] == "C"]
    assert shown.isprintable()


def test_a_title_is_broken_where_the_picture_ends() -> None:
    lines = title_lines("word " * 30, 320)
    assert max(map(len, lines)) <= 40
    assert " ".join(lines).split() == ["word"] * 30


@given(st.lists(FINITE, min_size=1, max_size=30), st.booleans(), st.floats(0, 1e3))
def test_a_frame_shows_the_best_and_is_never_empty(
    values: list[float], maximise: bool, reach: float
) -> None:
    low, high = parts.cut_at(values, maximise, reach)
    best = max(values) if maximise else min(values)
    assert low < high
    assert low <= best <= high
    assert all(low <= value <= high for value in values if abs(value - best) <= reach)


@given(st.lists(st.floats(-50, 250), min_size=1, max_size=12))
def test_names_beside_lines_keep_apart_and_inside(places: list[float]) -> None:
    moved = parts.spread(places, 14, 4, 206)
    ordered = sorted(moved)
    assert all(b - a >= 14 - 1e-6 for a, b in itertools.pairwise(ordered))
    assert ordered[0] >= 4 - 1e-6
    assert ordered[-1] <= 206 + 1e-6
    assert sorted(range(len(places)), key=lambda each: places[each]) == sorted(
        range(len(places)), key=lambda each: moved[each]
    )


@given(
    st.lists(st.tuples(FINITE, st.integers(0, 5)), min_size=1, max_size=30, unique=True),
    st.booleans(),
)
def test_the_front_is_that_of_both_objectives(found: list, maximise: bool) -> None:
    sign = -1 if maximise else 1
    points = [parts.Point(place, own, "l1", 1.0, place) for place, (own, _) in enumerate(found)]
    costs = [cost for _, cost in found]
    drawn = front.front_of(points, costs, sign)
    losses = {place: (sign * own, cost) for place, (own, cost) in enumerate(found)}
    assert {point.number for point in drawn} == set(pareto_front(losses))


@given(st.floats(1e-8, 1e3), st.floats(1.01, 1e9))
def test_a_strengths_axis_has_ticks_inside_its_ends(low: float, times: float) -> None:
    ticks = parts.decades(low, low * times)
    assert all(low <= tick <= low * times for tick in ticks)
    assert ticks or times < 10


def test_importance_is_optunas() -> None:
    trials = make_trials()
    study = optuna.create_study()
    known = {
        name: optuna.distributions.json_to_distribution(text)
        for name, text in trials.distributions.items()
    }
    columns = {"penalty": trials.penalty, "lambda": trials.strength, **trials.params}
    for place, value in enumerate(trials.value):
        params = {n: own[place] for n, own in columns.items() if own[place] is not None}
        if trials.state[place] == "complete":
            own = {name: known[name] for name in params}
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=own, value=value)
            )
    expected = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    assert importance_of(trials, maximise=False) == pytest.approx(expected)


def test_importance_needs_trials_and_something_that_varies() -> None:
    assert importance_of(make_trials(12), maximise=False) == {}
    same = make_trials(penalties=["none"])
    fixed = {"penalty": same.distributions["penalty"]}
    assert importance_of(replace(same, distributions=fixed), maximise=False) == {}


def test_of_many_trials_the_best_and_every_nth_other_are_drawn() -> None:
    found = parts.points(make_evidence())
    drawn = parts.thinned(found, 20)
    assert drawn[:10] == found[:10]
    assert len(drawn) <= 20
    assert len({point.number for point in drawn}) == len(drawn)
