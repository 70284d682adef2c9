"""Canonical tables and what their profiles say."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.data.tables import canonical_table, from_parquet, profile_table, to_parquet
from ridgeway.errors import InvalidInput
from ridgeway.spec.profiles import ColumnProfile


def profile_of(values: pa.Array) -> ColumnProfile:
    table = pa.table({"x": values, "y": pa.nulls(len(values))})
    return profile_table(canonical_table(table)).columns[0]


def test_a_column_of_whole_numbers_is_profiled() -> None:
    assert profile_of(pa.array([3, 1, None, 3, 2, 2])) == ColumnProfile(
        name="x",
        kind="number",
        missing=1,
        distinct=3,
        integral=True,
        minimum=1.0,
        maximum=3.0,
        rarest="1",
        rarest_count=1,
    )


def test_a_column_of_texts_is_profiled() -> None:
    assert profile_of(pa.array(["b", "a", "b", None, "a", "c", "c"])) == ColumnProfile(
        name="x",
        kind="category",
        missing=1,
        distinct=3,
        integral=False,
        rarest="a",
        rarest_count=2,
        dates=False,
    )


@pytest.mark.parametrize(
    ("texts", "dates"),
    [
        (["2024-05-01", None, "2024-05-02T12:30"], True),
        (["2024-05-01T12:30:00Z", "2024-05-01T12:30:00+02:00"], True),
        (["2024-05-01", "2024-05-01T12:30:00+02:00"], False),
        (["2024-05-01", "01.05.2024"], False),
        (["5", "6"], False),
    ],
)
def test_a_category_says_whether_it_holds_dates(texts: list[str | None], dates: bool) -> None:
    assert profile_of(pa.array(texts)).dates is dates


def test_nan_is_missing_and_a_real_number_is_not_integral() -> None:
    profile = profile_of(pa.array([0.5, float("nan"), 1.0]))
    assert (profile.missing, profile.distinct, profile.integral) == (1, 2, False)


def test_a_column_without_values_is_a_number_that_is_missing_everywhere() -> None:
    profile = profile_of(pa.nulls(4))
    assert (profile.kind, profile.missing, profile.distinct) == ("number", 4, 0)
    assert not profile.integral


@given(st.lists(st.none() | st.integers(-3, 3), min_size=1, max_size=30))
def test_a_profile_counts_as_pandas_does(values: list[int | None]) -> None:
    profile = profile_of(pa.array(values, pa.int8()))
    counts = pd.Series(values, dtype="Int64").value_counts()
    assert profile.missing == values.count(None)
    assert profile.distinct == len(counts)
    assert profile.rarest_count == (counts.min() if len(counts) else 0)


def test_booleans_are_categories() -> None:
    table = canonical_table(pa.table({"x": [True, None, False], "y": [1, 2, 3]}))
    assert table.column("x").to_pylist() == ["true", None, "false"]


def test_decimals_are_numbers() -> None:
    values = pa.array(["1.25", None]).cast(pa.decimal128(5, 2))
    assert canonical_table(pa.table({"x": values, "y": [1, 2]}))["x"].to_pylist() == [1.25, None]


def test_the_stored_table_is_the_canonical_one() -> None:
    table = canonical_table(pa.table({"é": [1, None], "b": ["x", None]}))
    assert from_parquet(to_parquet(table)).equals(table)
    assert canonical_table(table).equals(table)


def test_the_row_of_a_bad_number_is_named() -> None:
    with pytest.raises(InvalidInput, match="column 'x', row 2: inf is infinite"):
        canonical_table(pa.table({"x": [1.0, float("inf")], "y": [1, 2]}))
