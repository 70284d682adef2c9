"""Plots: valid specs of every kind of job, that show the answer's own numbers."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from drawing import (
    COLUMNS,
    HOSTILE,
    make_evidence,
    make_features,
    make_path,
    of_a_net,
    unanswered,
)

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.plots import PLOTS
from ridgeway.plots.render import Picture, draw, finished
from ridgeway.plots.theme import NARROW, THEMES

SVG = "{http://www.w3.org/2000/svg}"


def regression() -> Evidence:
    return make_evidence(task="regression", dataset="diabetes", objective="r2")


def classes() -> Evidence:
    return replace(make_evidence(), path=make_path(outputs=3))


def net() -> Evidence:
    return replace(make_evidence(model={"kind": "mlp"}), path=of_a_net(make_path()))


def constant() -> Evidence:
    evidence = make_evidence()
    assert evidence.answer is not None
    return replace(evidence, answer=evidence.answer.model_copy(update={"choice": "baseline"}))


def no_strength() -> Evidence:
    return replace(make_evidence(["none"]), path=None)


def plug_in() -> Evidence:
    """Neither coefficients nor features are told of a plug-in's model."""
    path = make_path(columns=[])
    return replace(make_evidence(model={"kind": "mine"}), path=path, features=None)


JOBS = {
    "classification": make_evidence(),
    "regression": regression(),
    "classes": classes(),
    "net": net(),
    "L2": make_evidence(["l2"]),
    "none": no_strength(),
    "plug-in": plug_in(),
    "unanswered": unanswered(make_evidence()),
    "hostile": make_evidence([*HOSTILE, "none"], HOSTILE),
}
PARTS = ("learning", "sealed", "weights", "flicker")  # of what is shown alone
LACKING = {
    "L2": {"penalties"},
    "none": {"path", "penalties", "trials", "parallel", "importance"},
    "plug-in": {"features"},
    "unanswered": {"path", "penalties", "features", *PARTS},
}


def drawn(name: str, evidence: Evidence) -> Picture:
    picture = draw(PLOTS[name], evidence, THEMES["light"])
    assert picture is not None
    return picture


def rows(picture: Picture, *fields: str) -> list[dict[str, Any]]:
    """The rows of those data that have all of the fields."""
    sets = picture.spec["datasets"].values()
    return [row for rows in sets for row in rows if set(fields) <= set(row)]


def found(spec: Any, key: str) -> Iterator[Any]:
    """Every value that stands under the key, outside the data."""
    if isinstance(spec, dict):
        for name, inner in spec.items():
            if name == key:
                yield inner
            if name != "datasets":
                yield from found(inner, key)
    elif isinstance(spec, list):
        for inner in spec:
            yield from found(inner, key)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_a_valid_spec_of_every_job_that_has_something_of_it(
    name: str, job: str
) -> None:
    evidence = JOBS[job]
    theme = THEMES["dark"].wide(NARROW)
    chart = PLOTS[name].draw(evidence, theme)
    assert (chart is None) is (name in LACKING.get(job, set()))
    if chart is None:
        return
    chart.to_dict(validate=True)
    picture = finished(chart, theme)
    json.dumps(picture.spec, allow_nan=False)
    assert picture.title
    assert picture.spec["config"]["background"] == theme.ground
    assert "url" not in list(found(picture.spec, "data"))
    assert {*found(picture.spec, "field")} <= {key for row in rows(picture) for key in row}


@pytest.mark.parametrize("name", PLOTS)
def test_names_stand_in_the_data_alone_run_nothing_and_fit_a_phone(name: str) -> None:
    picture = draw(PLOTS[name], JOBS["hostile"], THEMES["light"].wide(NARROW))
    assert picture is not None
    frame = {**picture.spec, "datasets": {}, "description": ""}
    for title in found(frame, "title"):
        if isinstance(title, dict):
            title["text"] = title["subtitle"] = ""
    text = json.dumps(frame, ensure_ascii=False)
    assert not [each for each in HOSTILE if each.strip() and each[:12] in text]
    root = ET.fromstring(picture.render("svg"))
    assert {node.tag for node in root.iter()} <= {
        SVG + tag for tag in ("svg", "g", "path", "text", "rect", "line", "defs", "clipPath")
    }
    assert not [node for node in root.iter() if any(key.startswith("on") for key in node.attrib)]
    assert float(root.attrib["width"]) <= NARROW * 1.06
    shown = "".join(root.itertext())
    assert not {letter for letter in shown if ord(letter) < 32 or letter == "\u202e"}


def test_the_path_shows_the_paths_values_and_standardised_coefficients() -> None:
    evidence = make_evidence()
    path, picture = evidence.path, drawn("path", evidence)
    assert path is not None
    curve = {row["strength"]: row for row in rows(picture, "value", "low")}
    assert {at: row["value"] for at, row in curve.items()} == {
        point.strength: point.value for point in path.points if point.value is not None
    }
    assert all(row["high"] - row["value"] == pytest.approx(0.02) for row in curve.values())
    sizes = {(row["line"], row["strength"]): row["size"] for row in rows(picture, "size")}
    for place, name in enumerate(COLUMNS):
        for point in path.points:
            own = (point.coefficients or {}).get(name, [0.0])[0]
            assert sizes[place, point.strength] == pytest.approx(2 * own)
    marks = {row["name"]: row["strength"] for row in rows(picture, "name", "strength")}
    assert marks == {
        "λ_min": path.best_strength,
        "recommended": path.recommended_strength,
    }
    assert picture.title == "L1 at λ = 0.0127 keeps 4 of 6 features"


def test_beside_the_constant_the_path_marks_nothing_as_recommended() -> None:
    marks = {row["name"] for row in rows(drawn("path", constant()), "name", "strength")}
    assert marks == {"λ_min", "λ_1se"}


def test_coefficients_of_several_classes_are_drawn_as_their_norm() -> None:
    evidence = classes()
    sizes = {(r["line"], r["strength"]): r["size"] for r in rows(drawn("path", evidence), "size")}
    assert evidence.path is not None
    last = evidence.path.points[-1]
    own = (last.coefficients or {})[COLUMNS[1]]
    assert sizes[1, last.strength] == pytest.approx(2 * math.hypot(*own))


def test_penalties_show_the_answers_differences_and_leave_out_what_is_far() -> None:
    evidence = make_evidence()
    assert evidence.answer is not None
    told = rows(drawn("penalties", evidence), "behind")
    assert [row["behind"] for row in told] == [own.behind for own in evidence.answer.penalties]
    assert [row["beyond"] for row in told] == [False, False, False, True]
    assert all(row["high"] == pytest.approx(row["behind"] * 1.8) for row in told[1:3])


def test_penalties_that_intervals_tell_from_the_best_are_called_behind() -> None:
    evidence = make_evidence(["l1", "l2"])
    assert drawn("penalties", evidence).title.startswith("L1 is best, and every other")
    assert evidence.answer is not None
    close = [
        row.model_copy(update={"behind": 0.0 if not place else 0.01, "behind_error": 0.006})
        for place, row in enumerate(evidence.answer.penalties)
    ]
    near = replace(evidence, answer=evidence.answer.model_copy(update={"penalties": close}))
    assert drawn("penalties", near).title == "L1 is best, but no other penalty is clearly behind"


@pytest.mark.parametrize("maximise", [False, True])
def test_trials_show_each_value_or_its_edge_the_worst_alone(maximise: bool) -> None:
    evidence = make_evidence(objective="accuracy" if maximise else "loss")
    if maximise:
        turned = tuple(None if own is None else -own for own in evidence.trials.value)
        evidence = replace(evidence, trials=replace(evidence.trials, value=turned))
    told = rows(drawn("trials", evidence), "trial", "value")
    values = dict(zip(evidence.trials.number, evidence.trials.value, strict=True))
    inside = {row["trial"]: row["value"] for row in told if not row["beyond"]}
    beyond = {row["trial"] for row in told if row["beyond"]}
    assert inside.items() <= values.items()
    assert {*inside, *beyond} == {
        number
        for number, value, strength in zip(
            evidence.trials.number, evidence.trials.value, evidence.trials.strength, strict=True
        )
        if value is not None and strength is not None
    }
    sign = -1 if maximise else 1
    assert beyond
    worst_inside = max(sign * value for value in inside.values())
    assert all(sign * (values[number] or 0) > worst_inside for number in beyond)


def test_features_show_norms_and_frequencies() -> None:
    told = rows(drawn("features", make_evidence()), "norm")
    features = make_features().features
    assert [row["norm"] for row in told] == [feature.norm for feature in features]
    assert [row["share"] for row in told] == [feature.frequency for feature in features]
    title = drawn("features", make_evidence()).title
    assert title == "The model uses 5 of 6 features; 2 are stable"


def test_without_halves_features_show_their_share_of_the_folds() -> None:
    evidence = replace(make_evidence(), features=make_features(halves=False))
    assert {row["share"] for row in rows(drawn("features", evidence), "norm")} == {1.0}


def test_what_is_not_drawn_of_a_large_job_is_told() -> None:
    evidence = make_evidence()
    large = replace(evidence, trials=replace(evidence.trials, there_are=60_000, every=1000))
    for name in ("trials", "parallel", "front"):
        (subtitle,) = (t["subtitle"] for t in [drawn(name, large).spec["title"]])
        assert "from every 1000th of 60,000" in " ".join(subtitle)


def test_a_picture_is_what_its_format_says() -> None:
    picture = drawn("importance", make_evidence())
    assert picture.render("png").startswith(b"\x89PNG\r\n")
    assert ET.fromstring(picture.render("svg")).tag == f"{SVG}svg"
    assert json.loads(picture.render("json")) == picture.spec
