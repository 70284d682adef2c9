"""JobSpec: one model for the REST body, the stored JSON and the worker's input."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.errors import InvalidInput
from ridgeway.spec.dimensions import Range
from ridgeway.spec.models import MlpModel
from ridgeway.spec.names import DEFAULT_PENALTIES, PENALTY_NAMES, Task
from ridgeway.spec.spec import FoldsValidation, JobSpec
from ridgeway.spec.wording import parse_spec

text = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=20)
name = text.filter(bool)


def numbers(low: float, high: float) -> st.SearchStrategy[Any]:
    """A dimension between low and high, in each of its three ways of writing."""
    value = st.floats(low, high, allow_subnormal=False)
    ends = st.tuples(value, value).filter(lambda pair: pair[0] != pair[1]).map(sorted)
    ranges = ends.flatmap(
        lambda pair: st.fixed_dictionaries(
            {"low": st.just(pair[0]), "high": st.just(pair[1])},
            optional={"log": st.booleans() if pair[0] > 0 else st.just(False)},
        )
    )
    return st.one_of(value, ranges, st.lists(value, min_size=1, max_size=5, unique=True))


models = st.one_of(
    st.just({"kind": "linear"}),
    st.fixed_dictionaries(
        {"kind": st.just("mlp")},
        optional={
            "hidden": st.lists(st.integers(1, 64), min_size=1, max_size=3),
            "activation": st.sampled_from(["relu", "gelu", "tanh", "silu"]),
            "dropout": st.floats(0, 0.99),
        },
    ),
    st.dictionaries(
        name.filter(lambda key: key != "kind" and not key.startswith("model_")),
        st.recursive(
            st.none() | st.booleans() | st.integers(-1000, 1000) | text,
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
            max_leaves=4,
        ),
        max_size=3,
    ).map(lambda options: {**options, "kind": "plug-in"}),
)
bodies = st.fixed_dictionaries(
    {"dataset": name},
    optional={
        "name": text,
        "target": st.none() | name,
        "groups": st.none() | name,
        "weights": st.none() | name,
        "task": st.sampled_from([None, *get_args(Task)]),
        "model": models,
        "optimizer": st.sampled_from(["sgd", "adam", "adamw", "exact"]),
        "schedule": st.sampled_from(["constant", "cosine"]),
        "warmup_epochs": st.integers(0, 100_000),
        "clip_norm": st.none() | st.floats(1e-6, 1e9),
        "search": st.fixed_dictionaries(
            {},
            optional={
                "penalty": st.sampled_from(PENALTY_NAMES)
                | st.lists(st.sampled_from(PENALTY_NAMES), min_size=1, unique=True),
                "lambda": st.just("auto") | numbers(0, 10),
                "l1_ratio": numbers(0, 1),
                "learning_rate": numbers(1e-6, 1),
                "weight_decay": st.none() | numbers(0, 1),
                "dropout": st.none() | numbers(0, 0.99),
                "label_smoothing": st.none() | numbers(0, 1),
                "input_noise": st.none() | numbers(0, 1000),
            },
        ),
        "class_weights": st.sampled_from(["none", "balanced"]),
        "label_smoothing": st.floats(0, 1),
        "input_noise": st.floats(0, 1000),
        "early_stopping": st.none() | st.fixed_dictionaries({"patience": st.integers(1, 100_000)}),
        "precision": st.sampled_from(["float32", "float64", "tf32", "bf16"]),
        "penalize": st.sampled_from(["weights", "all"]),
        "objective": st.sampled_from(["loss", "accuracy", "mse"]),
        "validation": st.fixed_dictionaries(
            {"kind": st.just("folds")},
            optional={"folds": st.integers(2, 100), "repeats": st.integers(1, 100)},
        )
        | st.fixed_dictionaries(
            {"kind": st.just("holdout")}, optional={"fraction": st.floats(0.01, 0.99)}
        )
        | st.fixed_dictionaries(
            {"kind": st.just("forward"), "by": st.just("day")},
            optional={"folds": st.integers(2, 100)},
        ),
        "trials": st.integers(1, 1_000_000),
        "timeout_seconds": st.none() | st.floats(0.1, 1e6),
        "seed": st.integers(0, 2**32 - 1),
    },
)


@given(bodies)
def test_a_spec_survives_the_round_trip_through_json(body):
    spec = parse_spec(body)
    assert parse_spec(json.loads(spec.model_dump_json())) == spec
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert parse_spec(spec.model_dump(mode="json")) == spec


@given(bodies)
def test_what_was_asked_for_is_what_is_kept(body):
    kept = parse_spec(body).model_dump(mode="json")
    for field in body.keys() - {"model", "search", "validation"}:
        assert kept[field] == body[field]
    for field, value in body.get("model", {}).items():
        assert kept["model"][field] == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*JobSpec.model_fields, "lambda", "low", "high", "kind"])
                | st.text(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_either_a_spec_or_a_clear_error(body):
    outcome = parsed_or_refused(body)
    if isinstance(outcome, InvalidInput):
        assert outcome.errors
        assert all("@" not in found.field or "@" in json.dumps(body) for found in outcome.errors)
    else:
        assert parse_spec(outcome.model_dump(mode="json")) == outcome


def parsed_or_refused(body: Any) -> JobSpec | InvalidInput:
    try:
        return parse_spec(body)
    except InvalidInput as error:
        return error


def test_a_data_set_alone_is_a_complete_job():
    spec = parse_spec({"dataset": "digits"})
    assert spec.model == MlpModel(hidden=[128, 128])
    assert spec.validation == FoldsValidation(folds=5)
    assert tuple(spec.search.penalty) == DEFAULT_PENALTIES
    assert (spec.trials, spec.epochs, spec.sampler) == (200, 30, "tpe")


@pytest.mark.parametrize(
    ("body", "field", "value", "says"),
    [
        ({}, "dataset", None, "is required"),
        ({"dataset": ""}, "dataset", "", "at least 1 character"),
        ({"dataset": "d", "colour": 1}, "colour", 1, "unknown field"),
        ({"dataset": "d", "trials": 0}, "trials", 0, "greater than or equal to 1"),
        ({"dataset": "d", "trials": 10**9}, "trials", 10**9, "less than or equal to 1000000"),
        ({"dataset": "d", "trials": "5"}, "trials", "5", "valid integer"),
        ({"dataset": "d", "trials": True}, "trials", True, "valid integer"),
        ({"dataset": "d", "seed": -1}, "seed", -1, "greater than or equal to 0"),
        ({"dataset": "d", "test_fraction": 1}, "test_fraction", 1, "less than or equal to 0.9"),
        ({"dataset": "d", "name": "a\x00b"}, "name", "a\x00b", "NUL"),
        ({"dataset": "\ud800"}, "dataset", "\ud800", "unicode"),
        (
            {"dataset": "d", "model": {"kind": "mlp", "hidden": []}},
            "model.hidden",
            [],
            "at least 1",
        ),
        (
            {"dataset": "d", "model": {"kind": "mlp", "hidden": [0]}},
            "model.hidden.0",
            0,
            "equal to 1",
        ),
        (
            {"dataset": "d", "model": {"kind": "linear", "width": 2}},
            "model.width",
            2,
            "unknown field",
        ),
        ({"dataset": "d", "model": 3}, "model", 3, '"kind"'),
        ({"dataset": "d", "validation": {"folds": 1}}, "validation.folds", 1, "equal to 2"),
        ({"dataset": "d", "validation": {"repeats": 0}}, "validation.repeats", 0, "equal to 1"),
        (
            {"dataset": "d", "validation": {"kind": "holdout", "repeats": 2}},
            "validation.repeats",
            2,
            "accepted: no repeats",
        ),
        (
            {"dataset": "d", "search": {"penalty": ""}},
            "search.penalty.0",
            "",
            "at least 1 character",
        ),
        ({"dataset": "d", "search": {"penalty": []}}, "search.penalty", [], "at least 1 item"),
        ({"dataset": "d", "search": {"lambda": -1}}, "search.lambda", -1, "at least 0"),
        ({"dataset": "d", "search": {"lambda": [1, -2]}}, "search.lambda.1", -2, "at least 0"),
        ({"dataset": "d", "search": {"strength": 1}}, "search.strength", 1, "unknown field"),
        (
            {"dataset": "d", "search": {"lambda": {"low": -1, "high": 1}}},
            "search.lambda.low",
            -1,
            "at least 0",
        ),
        (
            {"dataset": "d", "search": {"lambda": {"low": 2, "high": 1}}},
            "search.lambda",
            {"low": 2, "high": 1},
            "empty range",
        ),
        (
            {"dataset": "d", "search": {"lambda": {"low": 1, "high": 1}}},
            "search.lambda",
            {"low": 1, "high": 1},
            "empty range",
        ),
        (
            {"dataset": "d", "search": {"learning_rate": {"low": 0, "high": 1, "log": True}}},
            "search.learning_rate",
            {"low": 0, "high": 1, "log": True},
            "low > 0",
        ),
        (
            {"dataset": "d", "search": {"l1_ratio": {"low": 0, "high": 2}}},
            "search.l1_ratio.high",
            2,
            "at most 1",
        ),
        ({"dataset": "d", "schedule": "linear"}, "schedule", "linear", "'cosine'"),
        ({"dataset": "d", "warmup_epochs": -1}, "warmup_epochs", -1, "equal to 0"),
        ({"dataset": "d", "warmup_epochs": 1.5}, "warmup_epochs", 1.5, "valid integer"),
        ({"dataset": "d", "clip_norm": 0}, "clip_norm", 0, "greater than 0"),
        ({"dataset": "d", "class_weights": [1, 2]}, "class_weights", [1, 2], "'balanced'"),
        ({"dataset": "d", "label_smoothing": 1.01}, "label_smoothing", 1.01, "equal to 1"),
        ({"dataset": "d", "input_noise": -0.1}, "input_noise", -0.1, "equal to 0"),
        ({"dataset": "d", "precision": "float16"}, "precision", "float16", "'bf16'"),
        ({"dataset": "d", "early_stopping": {}}, "early_stopping.patience", None, "is required"),
        (
            {"dataset": "d", "early_stopping": {"patience": 0}},
            "early_stopping.patience",
            0,
            "equal to 1",
        ),
        ({"dataset": "d", "model": {"dropout": 1}}, "model.dropout", 1, "less than 1"),
        (
            {"dataset": "d", "model": {"kind": "linear", "dropout": 0.1}},
            "model.dropout",
            0.1,
            "unknown field",
        ),
        ({"dataset": "d", "search": {"dropout": True}}, "search.dropout", True, "valid number"),
        ({"dataset": "d", "search": {"dropout": [0, 1]}}, "search.dropout.1", 1, "less than 1"),
        (
            {"dataset": "d", "search": {"label_smoothing": {"low": 0, "high": 1.5}}},
            "search.label_smoothing.high",
            1.5,
            "at most 1",
        ),
        ({"dataset": "d", "search": {"input_noise": -1}}, "search.input_noise", -1, "at least 0"),
        (
            {"dataset": "d", "search": {"input_noise": "auto"}},
            "search.input_noise",
            "auto",
            "a range {low, high, log}",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_what_is_accepted(body, field, value, says):
    with pytest.raises(InvalidInput) as caught:
        parse_spec(body)
    (error,) = caught.value.errors
    assert (error.field, error.value) == (field, value)
    assert says in error.message


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [("adamw", Range(low=1e-6, high=1e-1, log=True)), ("adam", 0.0), ("sgd", 0.0)],
)
def test_weight_decay_is_searched_only_where_it_is_not_an_l2_term_in_disguise(optimizer, expected):
    assert parse_spec({"dataset": "d", "optimizer": optimizer}).search.weight_decay == expected
    asked = parse_spec({"dataset": "d", "optimizer": optimizer, "search": {"weight_decay": 0.5}})
    assert asked.search.weight_decay == 0.5


def test_exact_has_no_rates_to_fill_in():
    search = parse_spec({"dataset": "d", "optimizer": "exact"}).search
    assert (search.learning_rate, search.weight_decay) == (None, None)


@pytest.mark.parametrize(
    ("fields", "optimizer"),
    [
        ({}, "adamw"),
        ({"model": {"kind": "mine", "width": 3}}, "adamw"),
        ({"model": {"kind": "linear"}}, "exact"),
        ({"model": {"kind": "linear"}, "label_smoothing": 0.1, "precision": "float64"}, "exact"),
        ({"model": {"kind": "linear"}, "search": {"learning_rate": [0.01, 0.1]}}, "adamw"),
        ({"model": {"kind": "linear"}, "search": {"weight_decay": 0.0}}, "adamw"),
        ({"model": {"kind": "linear"}, "early_stopping": {"patience": 3}}, "adamw"),
        ({"model": {"kind": "linear"}, "pruner": "median"}, "adamw"),
        ({"model": {"kind": "linear"}, "optimizer": "sgd"}, "sgd"),
    ],
)
def test_auto_stands_for_the_optimum_where_that_can_be_reached(
    fields: dict[str, Any], optimizer: str
) -> None:
    given = {"dataset": "d", **fields}
    left_out, auto = parse_spec(given), parse_spec({"optimizer": "auto", **given})
    assert left_out.optimizer == auto.optimizer == optimizer
    assert parse_spec(auto.model_dump(mode="json")) == auto
    assert (auto.search.learning_rate is None) is (optimizer == "exact")


def test_the_former_name_of_exact_is_read() -> None:
    spec = parse_spec({"dataset": "d", "optimizer": "fista", "model": {"kind": "linear"}})
    assert spec.optimizer == "exact"


def test_what_is_only_searched_on_request_has_no_dimension_by_default():
    search = parse_spec({"dataset": "d"}).search
    assert (search.dropout, search.label_smoothing, search.input_noise) == (None, None, None)
