"""What is wrong with the data is told, and nothing is told of data that are well."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ridgeway.answers import Check
from ridgeway.data.bundled import BUNDLED
from ridgeway.spec.wording import parse_spec
from workers.answer.data_checks import correlated_inputs, data_checks, duplicates_across_seal
from workers.answer.leaks import leaks
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare


def prepared_from(frame: pd.DataFrame, **fields: Any) -> Prepared:
    return check_and_prepare(parse_spec({"dataset": "d", **fields}), frame)


def table(rows: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Make four columns, of which two matter a little, and a number to predict."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["a", "b", "c"])
    frame["city"] = rng.choice(["Oslo", "Rome", "Lima"], rows)
    frame["y"] = frame["a"] - frame["b"] + rng.normal(size=rows)
    return frame


def classes(rows: int = 1000, seed: int = 0, of: int = 2) -> pd.DataFrame:
    frame = table(rows, seed)
    frame["y"] = pd.qcut(frame["y"], of, labels=[f"class {each}" for each in range(of)]).astype(str)
    return frame


def with_column(frame: pd.DataFrame, name: str, values: Any) -> pd.DataFrame:
    frame = frame.copy()
    frame.insert(0, name, values)
    return frame


def codes(checks: Iterable[Check]) -> set[str]:
    return {check.code for check in checks}


def named(checks: Iterable[Check], code: str) -> str:
    (sentence,) = [check.sentence for check in checks if check.code == code]
    return sentence


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_sets_have_no_leak_and_no_identifier(name: str):
    assert codes(data_checks(prepared_from(bundled_frame(name)))) <= {"few_rows"}


@pytest.mark.parametrize("frame", [table(), classes(), classes(of=3)], ids=["number", "two", "3"])
def test_nothing_is_told_of_data_that_are_well(frame: pd.DataFrame):
    prepared = prepared_from(frame)
    assert data_checks(prepared) == []
    assert duplicates_across_seal(prepared) == []
    assert correlated_inputs(prepared, "l1", {"a", "b", "city"}) == []


# --- leaks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leak",
    [
        lambda y: 3 * y + 1,
        lambda y: np.exp(y),
        lambda y: np.where(np.arange(len(y)) % 500 == 0, np.nan, 1e29 * y),
        lambda y: (y * 1e6).round(),
    ],
    ids=["line", "curve", "gaps", "whole"],
)
def test_a_column_made_from_a_number_is_suspected(leak: Any):
    frame = table()
    checks = data_checks(prepared_from(with_column(frame, "late", leak(frame["y"].to_numpy()))))
    assert codes(checks) == {"leak_suspected"}
    assert "`late`" in named(checks, "leak_suspected")


@pytest.mark.parametrize("of", [2, 3, 26])
@pytest.mark.parametrize("kind", ["code", "text"])
def test_a_column_that_codes_the_class_is_suspected(of: int, kind: str):
    frame = classes(2000, of=of)
    index = pd.factorize(frame["y"])[0]
    values = index * 7.5 if kind == "code" else [f"code {each}" for each in index]
    checks = data_checks(prepared_from(with_column(frame, "coded", values)))
    assert codes(checks) == {"leak_suspected"}


def test_a_rare_class_that_one_column_gives_away_is_suspected_by_the_area_under_the_curve():
    frame = classes(4000)
    rare = np.arange(4000) % 100 == 0
    frame["y"] = np.where(rare, "fraud", "fair")
    assert data_checks(prepared_from(frame)) == []
    noisy = np.where(rare, 3.0, 0.0) + np.random.default_rng(1).normal(0, 0.5, 4000)
    found = leaks(prepared_from(with_column(frame, "refunded", noisy)))
    assert [leak.column for leak in found] == ["refunded"]


def test_a_column_that_tells_one_of_three_classes_apart_is_not_suspected():
    frame = classes(of=3)
    known = (frame["y"] == "class 0").astype(float)
    assert data_checks(prepared_from(with_column(frame, "first", known))) == []


def test_one_row_far_out_in_input_and_target_is_no_leak():
    frame = table()
    frame.loc[10, ["c", "y"]] = 1e6
    assert data_checks(prepared_from(frame)) == []


def test_of_thousands_of_columns_the_leak_is_found():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 3000)), columns=[f"x{i}" for i in range(3000)])
    frame["y"] = np.where(rng.random(300) < 0.5, "no", "yes")
    assert leaks(prepared_from(frame)) == []
    frame["x1234"] = (frame["y"] == "yes") + rng.normal(0, 0.1, 300)
    assert [leak.column for leak in leaks(prepared_from(frame))] == ["x1234"]


# --- identifiers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("row", np.arange(1000)),
        ("falling", 10**6 - 3 * np.arange(1000)),
        ("shuffled", np.random.default_rng(0).permutation(1000) + 500),
    ],
)
def test_a_column_that_tells_the_rows_apart_is_an_identifier(name: str, values: Any):
    checks = data_checks(prepared_from(with_column(table(), name, values)))
    assert codes(checks) == {"identifiers"}
    assert f"`{name}`" in named(checks, "identifiers")


@pytest.mark.parametrize("levels", [48, 50])
def test_a_category_that_names_each_row_of_a_small_table_is_an_identifier(levels: int):
    frame = with_column(table(50), "key", [f"k{each % levels}" for each in range(50)])
    assert "`key`" in named(data_checks(prepared_from(frame)), "identifiers")


@pytest.mark.parametrize(
    "values",
    [
        np.sort(np.random.default_rng(0).normal(size=1000)),
        np.random.default_rng(0).permutation(10**6)[:1000],
        np.arange(1000) // 2,
        [f"k{each % 400}" for each in range(1000)],
    ],
    ids=["fractions", "amounts", "pairs", "levels"],
)
def test_other_columns_are_no_identifiers(values: Any):
    assert data_checks(prepared_from(with_column(table(), "x", values))) == []


def test_few_sealed_rows_are_told():
    assert codes(data_checks(prepared_from(table(495)))) == {"few_rows"}
    assert data_checks(prepared_from(table(500))) == []


# --- across the seal --------------------------------------------------------------------------


def test_sealed_rows_that_equal_development_rows_are_told():
    frame = table(500)
    frame.loc[::50, "a"] = np.nan  # equal where both are missing
    doubled = pd.concat([frame, frame], ignore_index=True)
    told = named(duplicates_across_seal(prepared_from(doubled)), "duplicates_across_seal")
    assert " of 200 sealed rows" in told


def test_rows_that_differ_in_the_target_alone_are_no_doubles():
    frame = table(500)
    other = frame.assign(y=frame["y"] + 1.0)
    assert duplicates_across_seal(prepared_from(pd.concat([frame, other], ignore_index=True))) == []


def test_a_single_double_among_many_is_not_told():
    frame = table(1000)
    prepared = prepared_from(frame)
    frame.loc[prepared.splits.test[0]] = frame.loc[prepared.splits.development[0]]
    assert duplicates_across_seal(prepared_from(frame)) == []


# --- correlated inputs ------------------------------------------------------------------------


def test_a_selected_column_with_a_near_double_is_told():
    frame = table()
    frame = with_column(frame, "a again", -frame["a"] * 1e20)
    prepared = prepared_from(frame)
    for penalty in ("l1", "elastic_net"):
        told = named(correlated_inputs(prepared, penalty, {"a", "b"}), "correlated_inputs")
        assert "`a` and `a again` (1.00)" in told
    assert correlated_inputs(prepared, "l2", {"a", "b"}) == []
    assert correlated_inputs(prepared, "l1", {"b"}) == []
    assert correlated_inputs(prepared, "l1", set()) == []


def test_at_most_three_pairs_are_named_the_strongest_first():
    frame = table()
    rng = np.random.default_rng(1)
    for index in range(5):
        noise = rng.normal(0, 0.02 * (index + 1), len(frame))
        frame = with_column(frame, f"a{index}", frame["a"] + noise)
    told = named(correlated_inputs(prepared_from(frame), "l1", {"a"}), "correlated_inputs")
    assert told.count(" and ") == 3
    assert told.index("`a0`") < told.index("`a1`") < told.index("`a2`")


def test_levels_of_one_category_are_no_doubles_of_each_other():
    frame = table()
    frame["city"] = np.where(frame["city"] == "Oslo", "Oslo", "Rome")
    assert correlated_inputs(prepared_from(frame), "l1", {"city"}) == []


# --- whatever the data ------------------------------------------------------------------------

COLUMNS = st.sampled_from(
    [
        lambda rng, rows: np.full(rows, 1.0),
        lambda rng, rows: np.full(rows, np.nan),
        lambda rng, rows: rng.choice([-1e30, 1e30], rows),
        lambda rng, rows: rng.choice([0.0, 1e-300, np.nan], rows),
        lambda rng, rows: np.where(np.arange(rows) == 0, 1e30, rng.normal(size=rows)),
        lambda rng, rows: np.arange(rows) + 0.0,
        lambda rng, rows: rng.choice(["u", "v", None], rows),
        lambda rng, rows: np.full(rows, None, object),
        lambda rng, rows: [f"t{min(each, 49)}" for each in range(rows)],
    ]
)
TARGETS = st.sampled_from(
    [
        lambda rng, rows: rng.normal(size=rows),
        lambda rng, rows: rng.choice([-1e30, 1e30, 0.5], rows),
        lambda rng, rows: np.where(np.arange(rows) == 0, 3.5, 1.0),
        lambda rng, rows: 1e-300 * np.arange(rows),
    ]
)


@settings(max_examples=30, deadline=None)
@given(st.lists(COLUMNS, min_size=1, max_size=4), TARGETS, st.integers(8, 120), st.booleans())
def test_no_data_make_a_check_raise(columns: Any, target: Any, rows: int, is_class: bool):
    rng = np.random.default_rng(rows)
    frame = pd.DataFrame({f"x{at}": make(rng, rows) for at, make in enumerate(columns)})
    values = [f"c{row % 2}" for row in range(rows)] if is_class else target(rng, rows)
    frame["y"] = values
    task = "classification" if is_class else "regression"
    prepared = prepared_from(frame, task=task, validation={"folds": 2}, test_fraction=0.3)
    for check in data_checks(prepared) + duplicates_across_seal(prepared):
        assert check.sentence.endswith(".")
    correlated_inputs(prepared, "l1", set(prepared.source_columns))


@pytest.mark.parametrize("shape", [(500_000, 20), (300, 10_000)], ids=str)
def test_large_data_are_looked_at_in_seconds(shape: tuple[int, int]):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=shape), columns=[f"x{at}" for at in range(shape[1])])
    frame["y"] = rng.normal(size=shape[0])
    prepared = prepared_from(frame, validation={"kind": "holdout"})
    started = time.process_time()
    data_checks(prepared)
    correlated_inputs(prepared, "l1", set(prepared.source_columns))
    duplicates_across_seal(prepared)
    assert time.process_time() - started < 15
