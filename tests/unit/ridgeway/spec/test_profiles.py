"""Whether a spec fits a data set, told from the profile alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.tables import canonical_table, profile_table
from ridgeway.errors import FieldError, InvalidInput
from ridgeway.spec.profiles import ColumnProfile, DatasetProfile, held_out, label_of
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec


def profile(**columns: list[Any]) -> DatasetProfile:
    return profile_table(canonical_table(pa.table(columns)))


def repeated(*values: Any, rows: int = 100) -> list[Any]:
    return [values[row % len(values)] for row in range(rows)]


ROWS = list(range(100))
PLAIN = profile(x=ROWS, who=repeated(*"abcdefghij"), y=repeated("no", "yes"))


def checked(found: DatasetProfile, **fields: Any) -> JobSpec:
    """Take a spec the way it takes from the door on."""
    spec = parse_spec({"dataset": "d", **fields})
    check_spec(spec)
    return resolve_spec(spec, found)


def refusals(found: DatasetProfile, **fields: Any) -> dict[str, FieldError]:
    with pytest.raises(InvalidInput) as refused:
        checked(found, **fields)
    return {error.field: error for error in refused.value.errors}


def test_the_last_column_is_the_target_and_tells_the_task() -> None:
    spec = resolve_spec(parse_spec({"dataset": "d"}), PLAIN)
    assert (spec.target, spec.task) == ("y", "classification")
    assert resolve_spec(spec, PLAIN) == spec


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("digits", "classification"),
        ("breast_cancer", "classification"),
        ("wine", "classification"),
        ("diabetes", "regression"),
    ],
)
def test_every_bundled_data_set_is_a_complete_job(name: str, task: str) -> None:
    assert resolve_spec(parse_spec({"dataset": name}), bundled_profiles()[name]).task == task


def test_many_whole_numbers_are_a_regression_and_few_are_classes() -> None:
    many = profile(x=ROWS, y=repeated(*range(21)))
    few = profile(x=ROWS, y=repeated(*range(10)))
    assert resolve_spec(parse_spec({"dataset": "d"}), many).task == "regression"
    assert resolve_spec(parse_spec({"dataset": "d"}), few).task == "classification"
    asked = parse_spec({"dataset": "d", "task": "regression"})
    assert resolve_spec(asked, few).task == "regression"


@pytest.mark.parametrize(
    ("columns", "fields", "field", "value", "message"),
    [
        ({}, {"target": "z"}, "target", "z", "no such column; columns: x, who, y"),
        ({"y": repeated(0, 1, None)}, {}, "target", "y", "has 33 missing values"),
        ({"y": repeated(7)}, {}, "target", "y", "holds one value only"),
        ({}, {"task": "regression"}, "target", "y", "holds categories"),
        ({"y": repeated(0.5, 1)}, {"task": "classification"}, "task", "classification", "real"),
        (
            {"y": [row // 2 for row in range(2002)], "x": range(2002), "who": [0] * 2002},
            {"task": "classification"},
            "target",
            "y",
            "has 1001 classes; at most 1000",
        ),
        ({"y": ROWS}, {"objective": "accuracy"}, "objective", "accuracy", "loss, mse, r2"),
        ({}, {"objective": "mse"}, "objective", "mse", "accuracy, balanced_accuracy, roc_auc"),
        ({}, {"groups": "z"}, "groups", "z", "no such column"),
        ({}, {"groups": "y"}, "groups", "y", "is the target"),
        ({"who": repeated("a", None)}, {"groups": "who"}, "groups", "who", "50 missing"),
        ({"who": repeated(1, 2, 3)}, {"groups": "who"}, "groups", "who", "has 3 groups"),
        (
            {"y": repeated(*["a"] * 19, "b")},
            {},
            "validation.folds",
            5,
            "class 'b' of 'y' has 5 rows, 4 of them beside the test set; at least 5",
        ),
        (
            {"y": ["a"] * 98 + ["b"] * 2},
            {"validation": {"kind": "holdout"}},
            "validation.fraction",
            0.2,
            "class 'b' of 'y' has 2 rows, 1 of them beside the test set; at least 2",
        ),
        (
            {"x": [1.5] * 9, "who": [0] * 9, "y": [row / 3 for row in range(9)]},
            {},
            "validation.folds",
            5,
            "needs at least 10 rows beside the test set; there are 7",
        ),
        (
            {"who": [f"p{row}" for row in ROWS]},
            {},
            "dataset",
            "d",
            "column 'who' holds 100 different texts in 100 rows: an identifier",
        ),
        (
            {
                "who": [f"p{row % 1001}" for row in range(5005)],
                "x": range(5005),
                "y": repeated(0, 1, rows=5005),
            },
            {},
            "dataset",
            "d",
            "column 'who' holds 1,001 different texts",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_field_and_the_value(
    columns: dict[str, Any], fields: dict[str, Any], field: str, value: Any, message: str
) -> None:
    whole = {"x": ROWS, "who": repeated(*"abcdefghij"), "y": repeated("no", "yes"), **columns}
    found = refusals(profile(**{name: list(values) for name, values in whole.items()}), **fields)
    assert list(found) == [field]
    assert found[field].value == value
    assert message in found[field].message


def test_a_table_needs_an_input_besides_target_and_groups() -> None:
    found = refusals(profile(who=repeated(*range(9)), y=repeated(0, 1)), groups="who")
    assert found["dataset"].message == "has no input column besides the groups"


def test_rows_without_a_target_are_left_out_where_the_job_says_so() -> None:
    half = profile(x=ROWS, y=repeated(0, 1, None))
    assert checked(half, missing_target="drop").task == "classification"
    few = profile(x=ROWS, y=[0, 1, *[None] * (len(ROWS) - 2)])
    assert "validation.folds" in refusals(few, missing_target="drop")


def test_dropped_columns_are_there_and_none_is_the_target() -> None:
    table = profile(x=ROWS, who=[f"p{row}" for row in ROWS], y=repeated(0, 1))
    dropped = resolve_spec(parse_spec({"dataset": "d", "drop": ["who"]}), table)
    assert dropped.apart == {"who"}
    found = refusals(table, drop=["who", "whom", "y"])
    assert set(found) == {"drop.1", "drop.2"}
    assert found["drop.1"].message.startswith("no such column; columns: x, who, y")
    assert found["drop.2"].message == "is the target, which is no input"
    found = refusals(table, drop=["who", "x"])
    assert found["dataset"].message == "has no input column besides what `drop` names"
    with pytest.raises(InvalidInput, match="may be named once"):
        parse_spec({"dataset": "d", "drop": ["who", "who"]})


def test_an_identifier_may_name_the_groups() -> None:
    found = profile(x=ROWS, who=[f"p{row}" for row in ROWS], y=repeated(0, 1))
    assert resolve_spec(parse_spec({"dataset": "d", "groups": "who"}), found).groups == "who"


def test_a_table_too_wide_once_encoded_is_refused() -> None:
    wide = DatasetProfile(rows=1_000_000, columns=[*PLAIN.columns] * 60)
    exact = refusals(wide, model={"kind": "linear"}, optimizer="exact")["dataset"].message
    assert "encodes to 1,000,000 rows of" in exact
    assert "by an optimizer that takes steps" in exact
    # Steps can leave so many rows in a file, and not ten times as many.
    assert "dataset" not in refusals(wide, optimizer="adamw")
    wider = DatasetProfile(rows=10_000_000, columns=wide.columns)
    assert "encodes to 10,000,000 rows of" in refusals(wider, optimizer="adamw")["dataset"].message


def test_every_bad_field_is_named_at_once() -> None:
    assert refusals(PLAIN, groups="z", objective="mse").keys() == {"groups", "objective"}


@given(st.integers(2, 10_000), st.floats(0, 0.999, exclude_min=True))
def test_a_held_out_part_is_never_empty_nor_everything(count: int, fraction: float) -> None:
    out = held_out(count, fraction)
    assert 1 <= out <= count - 1
    assert abs(out - count * fraction) <= 1
    # More rows never leave fewer: the smallest class decides for all.
    assert count + 1 - held_out(count + 1, fraction) >= count - out


def test_labels_of_whole_numbers_have_no_point() -> None:
    assert [label_of(value) for value in (3.0, -0.5, "a", 2.0**53)] == [
        "3",
        "-0.5",
        "a",
        "9007199254740992",
    ]


# --- sizes ------------------------------------------------------------------------------------


def column(name: str, distinct: int, **fields: Any) -> ColumnProfile:
    return ColumnProfile(
        name=name, distinct=distinct, missing=0, **{"kind": "number", "integral": True} | fields
    )


def wide(rows: int = 99_000, classes: int = 2) -> DatasetProfile:
    columns = [
        column("level", 1000, kind="category", integral=False),
        column("y", classes, rarest="0", rarest_count=rows // classes),
    ]
    return DatasetProfile(rows=rows, columns=columns)


def folds(count: int) -> dict[str, Any]:
    return {"validation": {"kind": "folds", "folds": count}}


def test_every_folds_table_counts_and_the_error_says_how_many_fit() -> None:
    error = refusals(wide(), **folds(5))["validation.folds"]
    assert error.value == 5
    assert "up to 4 folds" in error.message
    resolve_spec(parse_spec({"dataset": "d", **folds(4)}), wide())
    holdout = {"validation": {"kind": "holdout"}}
    resolve_spec(parse_spec({"dataset": "d", **holdout}), wide())


def test_every_repeats_folds_count_and_the_error_says_how_many_fit() -> None:
    error = refusals(wide(), validation={"folds": 2, "repeats": 3})["validation.repeats"]
    assert (error.value, "up to 2 of 2 folds" in error.message) == (3, True)
    error = refusals(wide(), validation={"folds": 5, "repeats": 3})["validation.folds"]
    assert (error.value, "up to 4 folds" in error.message) == (5, True)
    resolve_spec(parse_spec({"dataset": "d", "validation": {"folds": 2, "repeats": 2}}), wide())


def test_folds_of_all_repeats_have_a_limit_of_their_own() -> None:
    check_spec(parse_spec({"dataset": "d", "validation": {"folds": 100, "repeats": 10}}))
    with pytest.raises(InvalidInput, match="at most 1,000: up to 10 of 100 folds"):
        check_spec(parse_spec({"dataset": "d", "validation": {"folds": 100, "repeats": 11}}))


def test_double_precision_has_half_the_room() -> None:
    double = {"precision": "float64"}
    error = refusals(wide(), **folds(4), **double)["validation.folds"]
    assert "at most 250,000,000 in all: a holdout fits" in error.message
    holdout = {"validation": {"kind": "holdout"}}
    resolve_spec(parse_spec({"dataset": "d", **double, **holdout}), wide())
    half = wide(rows=49_000)
    assert "up to 4 folds" in refusals(half, **folds(5), **double)["validation.folds"].message
    resolve_spec(parse_spec({"dataset": "d", **double, **folds(4)}), half)
    large = {"model": {"kind": "mlp", "hidden": [4096, 4096]}}
    resolve_spec(parse_spec({"dataset": "d", **large, **folds(5)}), PLAIN)
    assert (
        "up to 20,000,000 weights"
        in (
            refusals(PLAIN, model={"kind": "mlp", "hidden": [4096] * 3}, **double)["model.hidden"]
        ).message
    )


def test_every_folds_model_counts_whatever_the_data() -> None:
    large = {"model": {"kind": "mlp", "hidden": [8192] * 16}}
    with pytest.raises(InvalidInput) as refused:
        check_spec(parse_spec({"dataset": "d", **large}))
    (error,) = refused.value.errors
    assert (error.field, error.value) == ("model.hidden", [8192] * 16)
    assert "in each of 5 folds" in error.message
    assert "up to 40,000,000 weights" in error.message
    check_spec(parse_spec({"dataset": "d", "model": {"kind": "mlp", "hidden": [4096, 4096]}}))
    check_spec(parse_spec({"dataset": "d", "model": {"kind": "mine", "hidden": [8192] * 16}}))


def test_inputs_and_classes_count_as_weights() -> None:
    small, spec = wide(rows=10_000), {"model": {"kind": "mlp", "hidden": [8192]}}
    check_spec(parse_spec({"dataset": "d", **spec, **folds(30)}))
    error = refusals(small, **spec, **folds(30))["model.hidden"]
    assert "up to 24 folds" in error.message
    resolve_spec(parse_spec({"dataset": "d", **spec, **folds(24)}), small)


def test_a_linear_models_weights_are_inputs_times_classes_in_every_fold() -> None:
    rows = 1000  # few: their tables must fit where the weights do not
    inputs = [column(f"x{index}", 9) for index in range(9000)]
    found = DatasetProfile(
        rows=rows, columns=[*inputs, column("y", 1000, rarest="0", rarest_count=rows)]
    )
    linear = {"model": {"kind": "linear"}, "task": "classification"}
    error = refusals(found, **linear, **folds(30))["validation.folds"]
    assert "9,000,000 weights in each of 30 folds" in error.message


def test_stored_curve_points_are_bounded_by_trials_and_epochs_together() -> None:
    error = refusals(PLAIN, trials=1_000_000, epochs=101)["epochs"]
    assert error.value == 101
    assert "up to 100 epochs" in error.message
    resolve_spec(parse_spec({"dataset": "d", "trials": 1_000_000, "epochs": 100}), PLAIN)
    resolve_spec(parse_spec({"dataset": "d", "trials": 1000, "epochs": 100_000}), PLAIN)


def test_a_spec_that_contradicts_itself_needs_no_data_to_be_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_spec(parse_spec({"dataset": "d", "task": "regression", "objective": "accuracy"}))
    (error,) = refused.value.errors
    assert (error.field, error.value) == ("objective", "accuracy")
    assert "loss, mse, r2" in error.message
    check_spec(parse_spec({"dataset": "d", "objective": "accuracy"}))


def test_a_category_has_no_bounds() -> None:
    linear = {"model": {"kind": "linear"}, "bounds": {"x": [0, 1], "who": "nonnegative"}}
    (error,) = refusals(PLAIN, **linear).values()
    assert (error.field, error.value) == ("bounds.who", "nonnegative")
    assert "a coefficient for each level" in error.message
