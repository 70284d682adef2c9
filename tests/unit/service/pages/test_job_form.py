"""The form of a job reaches every field of a spec, by a control or as JSON."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from ridgeway.spec.names import (
    DEFAULT_PENALTIES,
    OBJECTIVE_ROWS,
    Optimizer,
    Pruner,
    Sampler,
    penalty_row,
)
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import KINDS
from ridgeway.spec.wording import parse_spec
from service.pages.job_form import FIELDS, Field, Form, default_text, offered_penalties

BY_PATH = {own.path: own for own in FIELDS}


def joined(form: Form) -> dict[str, Any]:
    """Put what a form shows together again, as static/job-body.js does."""
    body: dict[str, Any] = {}
    shown = {**form.values}
    if list(form.penalties) != list(DEFAULT_PENALTIES):
        shown["search.penalty"] = list(form.penalties)
    for path, value in shown.items():
        *above, name = path.split(".")
        holder = body.setdefault(above[0], {}) if above else body
        holder[name] = value
    for name, value in (json.loads(form.more) if form.more else {}).items():
        body[name] = {**body[name], **value} if isinstance(body.get(name), dict) else value
    return body


def every_default() -> dict[str, Any]:
    """Return a spec with what is not stored where a job does not say so, too."""
    stored = parse_spec({"dataset": "digits"}).model_dump(mode="json", by_alias=True)
    fields = JobSpec.model_fields.items()
    return {field.alias or name: field.default for name, field in fields} | stored


@pytest.mark.parametrize(
    "name", [field.alias or name for name, field in JobSpec.model_fields.items()]
)
def test_every_field_of_a_spec_comes_back(name: str):
    body = {"dataset": "digits", name: every_default()[name]}
    assert parse_spec(joined(Form.of(body))) == parse_spec(body)


@pytest.mark.parametrize(
    "body",
    [
        {"dataset": "a", "search": {"penalty": ["l1"], "lambda": [0.1]}},
        {"dataset": "a", "search": {"l1_ratio": {"low": 0.1, "high": 0.2}}},
        {"dataset": "a", "search": {"l1_ratio": 0.5, "dropout": 0.1}},
        {"dataset": "a", "model": {"kind": "lab", "depth": 3}, "validation": {"repeats": 2}},
        {"dataset": "a", "model": {"hidden": [8, 4], "skip": True}, "drop": ["b", "c, d"]},
        {"dataset": ["no", "name"], "task": 3, "trials": [1], "model": "linear"},
    ],
)
def test_what_a_control_can_not_show_is_left_to_the_json(body: dict[str, Any]):
    assert joined(Form.of(body)) == body


def test_a_default_is_what_the_spec_means_where_it_does_not_say():
    spec = every_default()
    for own in FIELDS:
        if own.default in (None, "", "auto") or own.when == ("validation.kind", "holdout"):
            continue
        above, _, name = own.path.rpartition(".")
        assert (spec[above] if above else spec)[name] == own.default, own.path
    assert parse_spec({"dataset": "digits", "validation": {"kind": "holdout"}}).validation == (
        parse_spec(
            {
                "dataset": "digits",
                "validation": {
                    "kind": "holdout",
                    "fraction": BY_PATH["validation.fraction"].default,
                },
            }
        ).validation
    )


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("optimizer", get_args(Optimizer)),
        ("sampler", get_args(Sampler)),
        ("pruner", get_args(Pruner)),
        ("objective", tuple(OBJECTIVE_ROWS)),
        ("validation.kind", KINDS),
    ],
)
def test_every_name_can_be_chosen(path: str, names: tuple[str, ...]):
    assert tuple(value for value, _ in BY_PATH[path].choices) == names


def test_what_stands_in_a_control_is_what_its_script_reads():
    form = Form.of({"model": {"hidden": [16, 8]}, "drop": ["a", "b"], "trials": 7, "epochs": 2.5})
    assert form.text(BY_PATH["model.hidden"]) == "16, 8"
    assert form.text(BY_PATH["drop"]) == "a\nb"
    assert (form.text(BY_PATH["trials"]), form.text(BY_PATH["epochs"])) == ("7", "2.5")
    assert form.text(BY_PATH["seed"]) == ""
    assert default_text(BY_PATH["model.hidden"]) == "128, 128"
    assert default_text(BY_PATH["target"]) == ""
    assert form.chosen(BY_PATH["sampler"], "tpe")
    assert not Form.of({"sampler": "qmc"}).chosen(BY_PATH["sampler"], "tpe")


def test_penalties_of_workers_and_of_the_job_to_clone_are_offered_once():
    rows = offered_penalties(["none", "l1", "lab"], ["l1", "gone"])
    assert rows == [penalty_row(name) for name in ("none", "l1", "lab", "gone")]


def test_no_two_controls_have_one_id():
    assert len({own.id for own in FIELDS}) == len(FIELDS) == len(BY_PATH)
    assert Field("a.b", "A").id == "a-b"
