"""Fields of a spec that don't go together are refused at the door, with what would be accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.data.bundled import bundled_profiles
from ridgeway.errors import FieldError, InvalidInput
from ridgeway.spec.paths import PathSpec
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

FISTA = {"optimizer": "exact", "model": {"kind": "linear"}}
RANGE = {"low": 0.125, "high": 0.5}
RANGE_MET = {**RANGE, "log": False}
PATIENCE = {"patience": 3}


def job(**fields: Any) -> JobSpec:
    return parse_spec({"dataset": "wine", **fields})


def refusals(**fields: Any) -> dict[str, FieldError]:
    with pytest.raises(InvalidInput) as refused:
        check_spec(job(**fields))
    assert len({error.field for error in refused.value.errors}) == len(refused.value.errors)
    return {error.field: error for error in refused.value.errors}


def at(path: str, value: Any) -> dict[str, Any]:
    """A body with this value at a dotted path."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


# --- exact ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "met", "accepted"),
    [
        ("schedule", "cosine", "cosine", "constant"),
        ("warmup_epochs", 1, 1, "0"),
        ("clip_norm", 1.0, 1.0, "null"),
        ("early_stopping", PATIENCE, PATIENCE, "null"),
        ("pruner", "halving", "halving", "none"),
        ("input_noise", 0.5, 0.5, "0"),
        ("l1_method", "subgradient", "subgradient", "proximal"),
        ("precision", "tf32", "tf32", "float32, float64"),
        ("precision", "bf16", "bf16", "float32, float64"),
        ("search.learning_rate", RANGE, RANGE_MET, "null"),
        ("search.weight_decay", 0.0, 0.0, "null"),
        ("search.dropout", [0.25, 0.5], [0.25, 0.5], "null"),
        ("search.input_noise", RANGE, RANGE_MET, "null"),
    ],
)
def test_exact_refuses_what_belongs_to_minibatch_training(
    field: str, value: Any, met: Any, accepted: str
) -> None:
    found = refusals(**FISTA, **at(field, value))
    assert list(found) == [field]
    assert found[field].value == met
    assert found[field].message == f"does not fit the optimizer exact; accepted: {accepted}"
    parse_spec({"dataset": "wine", **at(field, value)})  # alone it is a spec


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"validation": {"kind": "holdout"}}, "compares trials fold by fold"),
        ({"objectives": ["loss", "nonzero_weights"]}, "judges by one objective"),
    ],
)
def test_a_search_that_ends_by_itself_needs_folds_and_one_objective(
    fields: dict[str, Any], why: str
) -> None:
    (error,) = refusals(stop="auto", **fields).values()
    assert (error.field, error.value) == ("stop", "auto")
    assert error.message.startswith(why)
    assert error.message.endswith("accepted: never")
    check_spec(job(**fields))
    check_spec(job(stop="auto"))


def test_features_of_a_plugins_model_are_no_limit() -> None:
    plugin = {"kind": "mine", "width": 3}
    (error,) = refusals(model=plugin, at_most={"features": 3}).values()
    assert (error.field, error.value) == ("at_most.features", 3)
    assert "a plug-in's model" in error.message
    check_spec(job(model=plugin, at_most={"nonzero_weights": 3}))


@pytest.mark.parametrize("model", [{"kind": "mlp"}, {"kind": "mine", "width": 3}])
def test_exact_solves_linear_models_only(model: dict[str, Any]) -> None:
    (error,) = refusals(optimizer="exact", model=model).values()
    assert (error.field, error.value) == ("optimizer", "exact")
    assert error.message.endswith(f"of the kind '{model['kind']}'; accepted: adam, adamw, sgd")


def test_every_field_that_exact_refuses_is_named_at_once() -> None:
    found = refusals(optimizer="exact", schedule="cosine", search={"dropout": 0.25})
    assert list(found) == ["optimizer", "schedule", "search.dropout"]


def test_exact_takes_what_keeps_the_objective_convex() -> None:
    smooth = {"search": {"label_smoothing": RANGE}, "class_weights": "balanced"}
    check_spec(job(**FISTA, **smooth, precision="float64"))
    check_spec(job(**FISTA, label_smoothing=0.1, penalize="all"))


# --- schedule, dropout, given twice -----------------------------------------------------------


@pytest.mark.parametrize(("epochs", "warmup"), [(30, 30), (1, 1), (2, 100_000)])
def test_a_warmup_leaves_at_least_one_epoch(epochs: int, warmup: int) -> None:
    (error,) = refusals(epochs=epochs, warmup_epochs=warmup).values()
    assert (error.field, error.value) == ("warmup_epochs", warmup)
    assert error.message == f"leaves none of {epochs} epochs; accepted: at most {epochs - 1}"
    check_spec(job(epochs=epochs, warmup_epochs=epochs - 1))


def test_a_linear_model_has_no_dropout_to_search() -> None:
    (error,) = refusals(model={"kind": "linear"}, search={"dropout": RANGE}).values()
    assert (error.field, error.value) == ("search.dropout", RANGE_MET)
    assert error.message.endswith("accepted: null")
    check_spec(job(search={"dropout": RANGE}))
    # Only a worker can see whether a plug-in's model has dropout layers.
    check_spec(job(model={"kind": "mine", "dropout": 0.5}, search={"dropout": RANGE}))


@pytest.mark.parametrize("field", ["model.dropout", "label_smoothing", "input_noise"])
@pytest.mark.parametrize("dimension", [RANGE, [0.125, 0.5], 0.0])
def test_a_thing_is_fixed_or_searched_but_not_both(field: str, dimension: Any) -> None:
    searched = {"search": {field.removeprefix("model."): dimension}}
    (error,) = refusals(**at(field, 0.25), **searched).values()
    assert (error.field, error.value) == (field, 0.25)
    assert "is searched too, by search." in error.message
    check_spec(job(**at(field, 0.25)))
    check_spec(job(**at(field, 0.0), **searched))


# --- classes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "met", "accepted"),
    [
        ("class_weights", "balanced", "balanced", "none"),
        ("label_smoothing", 0.25, 0.25, "0"),
        ("search.label_smoothing", RANGE, RANGE_MET, "null"),
        ("search.label_smoothing", 0.0, 0.0, "null"),
    ],
)
def test_what_needs_classes_is_refused_for_a_regression_told_or_found(
    field: str, value: Any, met: Any, accepted: str
) -> None:
    (told,) = refusals(task="regression", **at(field, value)).values()
    assert (told.field, told.value) == (field, met)
    assert told.message == f"does not fit the task regression; accepted: {accepted}"
    spec = parse_spec({"dataset": "diabetes", **at(field, value)})
    check_spec(spec)  # its task is not known yet
    with pytest.raises(InvalidInput) as refused:
        resolve_spec(spec, bundled_profiles()["diabetes"])
    (found,) = refused.value.errors
    assert (found.field, found.value) == (field, met)
    assert "a regression target" in found.message
    assert resolve_spec(job(**at(field, value)), bundled_profiles()["wine"]).search


# --- anything at all --------------------------------------------------------------------------

FIELDS = [
    "optimizer",
    "schedule",
    "warmup_epochs",
    "clip_norm",
    "class_weights",
    "label_smoothing",
    "input_noise",
    "early_stopping",
    "precision",
    "model",
    "l1_method",
    "task",
    "epochs",
    "search",
]
WORDS = ["exact", "adamw", "cosine", "constant", "balanced", "none", "bf16", "regression", "linear"]
KEYS = ["kind", "dropout", "patience", "low", "high", "log", "learning_rate", "weight_decay"]
KEYS += ["label_smoothing", "input_noise", "penalty", "lambda"]
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(FIELDS), anything), st.sampled_from(["wine", "diabetes"]))
def test_any_json_in_these_fields_is_a_resolved_spec_or_a_clear_refusal(
    fields: dict[str, Any], dataset: str
) -> None:
    profile = bundled_profiles()[dataset]
    outcome = resolved_or_refused({"dataset": dataset, **fields}, profile)
    if isinstance(outcome, InvalidInput):
        assert outcome.errors
        assert all(error.field and error.message for error in outcome.errors)
    else:
        assert resolve_spec(outcome, profile) == outcome
        assert parse_spec(json.loads(outcome.model_dump_json())) == outcome


def resolved_or_refused(body: dict[str, Any], profile: DatasetProfile) -> JobSpec | InvalidInput:
    try:
        spec = parse_spec(body)
        check_spec(spec)
        return resolve_spec(spec, profile)
    except InvalidInput as refused:
        return refused


# --- penalty factors ----------------------------------------------------------------------------


def test_penalty_factors_need_a_known_first_layer_and_groups_by_input() -> None:
    factors = {"alcohol": 0.0, "hue": 2.5}
    check_spec(job(penalty_factors=factors))
    refused = refusals(penalty_factors=factors, model={"kind": "transformer"}, group_by="neuron")
    assert refused["penalty_factors"].value == factors
    assert "linear or mlp" in refused["penalty_factors"].message
    assert "accepted: input" in refused["group_by"].message


@pytest.mark.parametrize("factor", [-1, -1e-300, 1e-9, 1e7])
def test_a_factor_is_0_or_of_a_sane_size(factor: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        job(penalty_factors={"hue": factor})
    (error,) = refused.value.errors
    assert (error.field, error.value) == ("penalty_factors.hue", factor)
    assert "0" in error.message
    assert "drop" in error.message


def test_factors_are_those_of_inputs() -> None:
    spec = job(
        drop=["hue"],
        groups="ash",
        penalty_factors={"alcohol": 2, "hue": 1, "ash": 0, "target": 3, "nowhere": 1},
    )
    with pytest.raises(InvalidInput) as refused:
        resolve_spec(spec, bundled_profiles()["wine"])
    met = {error.field: error.message for error in refused.value.errors}
    assert met["penalty_factors.nowhere"].startswith("no such column; columns: alcohol")
    assert "is the target" in met["penalty_factors.target"]
    for name in ("hue", "ash"):
        assert "is no input" in met[f"penalty_factors.{name}"]
    assert "penalty_factors.alcohol" not in met


def test_groups_of_columns_have_no_column_in_common_and_one_factor() -> None:
    groups = {"acid": ["malic_acid", "ash"], "rest": ["hue", "ash", "nowhere"]}
    spec = job(feature_groups=groups, penalty_factors={"ash": 2})
    with pytest.raises(InvalidInput) as refused:
        resolve_spec(spec, bundled_profiles()["wine"])
    met = {error.field: error.message for error in refused.value.errors}
    assert met["feature_groups.rest.2"].startswith("no such column")
    assert "in the group 'acid' already" in met["feature_groups.rest.1"]
    assert (
        "has the penalty factor 2, and the group's first column 1" in met["feature_groups.acid.1"]
    )
    assert (
        "accepted: input" in refusals(feature_groups=groups, group_by="neuron")["group_by"].message
    )
    assert (
        "first layer"
        in refusals(feature_groups=groups, model={"kind": "x"})["feature_groups"].message
    )


# --- bounds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["positive", [1, 2], [0, 0], [2, -2], [0], 3, [0, "x"]])
def test_a_bound_is_a_sign_or_two_ends_around_0(bound: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        job(**FISTA, bounds={"hue": bound})
    (error,) = refused.value.errors
    assert error.field in {"bounds.hue", "bounds.hue.1"}


def test_a_word_that_is_no_bound_is_told_of_ends_too() -> None:
    with pytest.raises(InvalidInput, match=r"nonnegative, nonpositive, or \[low, high\]"):
        job(**FISTA, bounds={"hue": "positive"})


def test_bounds_are_those_of_linear_models_to_the_optimum() -> None:
    bounds = {"hue": "nonnegative", "ash": [-1, None]}
    check_spec(job(**FISTA, bounds=bounds))
    assert "linear" in refusals(bounds=bounds)["bounds"].message
    stepped = {"model": {"kind": "linear"}, "optimizer": "adam"}
    assert "accepted: exact" in refusals(**stepped, bounds=bounds)["optimizer"].message
    concave = refusals(**FISTA, bounds=bounds, search={"penalty": ["l1", "mcp"]})
    assert "not known to be convex" in concave["search.penalty.1"].message
    mixed = refusals(**FISTA, bounds=bounds, feature_groups={"a": ["hue"]}, group_by="neuron")
    assert {"feature_groups", "group_by"} == set(mixed)


def test_an_adaptive_penalty_needs_the_optimizer_that_makes_its_initial_fit() -> None:
    search = {"penalty": ["none", "adaptive_l1"]}
    check_spec(job(model={"kind": "linear"}, search=search))
    check_spec(job(**FISTA, search=search, bounds={"hue": "nonnegative"}))
    for others in ({"model": {"kind": "mlp"}}, {"model": {"kind": "linear"}, "optimizer": "sgd"}):
        message = refusals(**others, search=search)["search.penalty.1"].message
        assert "accepted: a model that is linear, by the optimizer exact" in message
    path = PathSpec.model_validate(
        {"kind": "path", "dataset": "wine", "penalty": "adaptive_l1", "model": {"kind": "mlp"}}
    )
    with pytest.raises(InvalidInput) as refused:
        check_spec(path.job_spec())
    assert [error.field for error in refused.value.errors] == ["penalty"]


@pytest.mark.parametrize("penalty", ["l0.5", "adaptive_l1"])
def test_interior_points_know_neither_roots_nor_initial_fits(penalty: str) -> None:
    own = {"model": {"kind": "linear"}, "search": {"penalty": ["l1", penalty]}, "loss": "quantile"}
    message = refusals(**own)["search.penalty.1"].message
    assert "beside the loss quantile; accepted: none, l1, l2" in message
    check_spec(job(**own | {"loss": "huber"}))
    if penalty == "l0.5":
        check_spec(job(**own, optimizer="adam"))


def test_bounds_need_numbers_and_one_output() -> None:
    with pytest.raises(InvalidInput) as refused:
        resolve_spec(job(**FISTA, bounds={"hue": "nonnegative"}), bundled_profiles()["wine"])
    (error,) = refused.value.errors
    assert "one output, and 'target' has 3 classes" in error.message


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_a_penalty_of_a_skip_layer_asks_for_one(kind: str) -> None:
    search = {"penalty": ["none", "hierarchical"]}
    found = refusals(search=search, model={"kind": kind})["search.penalty"]
    assert found.value == "hierarchical"
    assert '"skip": true' in found.message
    resolved = job(search=search, model={"kind": "mlp", "skip": True})
    check_spec(resolved)
    assert resolved.hierarchy == 10


def test_a_strength_that_grows_within_a_training_is_not_stopped_before() -> None:
    fields = {"model": {"kind": "mlp", "skip": True}, "search": {"penalty": ["l1", "hierarchical"]}}
    found = refusals(**fields, early_stopping=PATIENCE)["early_stopping"]
    assert found.value == PATIENCE
    assert "λ of hierarchical" in found.message
    assert found.message.endswith("accepted: null")
    check_spec(job(**fields))
    check_spec(job(**fields | {"search": {"penalty": "l1"}}, early_stopping=PATIENCE))


@pytest.mark.parametrize("value", [0, -1, 1e7, "10"])
def test_the_limit_of_a_hierarchy_is_above_zero(value: Any) -> None:
    with pytest.raises(InvalidInput, match="hierarchy"):
        job(hierarchy=value)
