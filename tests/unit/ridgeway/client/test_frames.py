"""Tables of a program, as what is sent."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from ridgeway.client.frames import is_table, name_of, parquet_of, rows_of
from ridgeway.errors import InvalidInput

TABLE = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None], "c": pd.Categorical(["u", "v"])})


def test_a_table_is_the_same_bytes_whatever_its_index_or_its_maker() -> None:
    written = parquet_of(TABLE, "dataset")
    assert parquet_of(TABLE.set_index(pd.Index([7, 9])), "dataset") == written
    assert parquet_of(pa.Table.from_pandas(TABLE, preserve_index=False), "dataset") == written
    read = parquet.read_table(io.BytesIO(written))
    assert read.column_names == ["a", "b", "c"]
    assert read.column("b").to_pylist() == ["x", None]


def test_another_table_has_another_name() -> None:
    own, other = parquet_of(TABLE, "dataset"), parquet_of(TABLE.iloc[::-1], "dataset")
    assert name_of(own) != name_of(other)


def test_a_column_of_no_one_kind_is_refused_by_the_field() -> None:
    with pytest.raises(InvalidInput, match="can't be written as Parquet") as refused:
        parquet_of(pd.DataFrame({"a": [1, "x", object()]}), "dataset")
    assert refused.value.errors[0].field == "dataset"


@pytest.mark.parametrize("given", [3, [{"a": 1}], {"a": [1]}, "file.csv", np.zeros(3)])
def test_what_is_no_table_is_refused_and_is_none(given: object) -> None:
    assert not is_table(given)
    with pytest.raises(InvalidInput, match="must be a DataFrame or an Arrow table"):
        parquet_of(given, "dataset")


def test_rows_of_a_table_are_mappings_and_rows_stay_what_they_are() -> None:
    rows = rows_of(pa.table({"a": [1, None]}))
    assert rows == [{"a": 1}, {"a": None}]
    assert [row["b"] for row in rows_of(TABLE.iloc[:1])] == ["x"]
    assert rows_of(rows) is rows


def test_rows_of_frames_have_texts_for_names_as_their_uploads_have() -> None:
    pairs = pd.MultiIndex.from_tuples([("a", "b"), ("c", "d")])
    frame = pd.DataFrame([[1.5, 2.5]], columns=pairs)
    uploaded = parquet.read_table(io.BytesIO(parquet_of(frame, "dataset")))
    assert [list(row) for row in rows_of(frame)] == [uploaded.column_names]


def test_rows_with_two_columns_of_one_name_are_refused() -> None:
    twice = [pd.DataFrame([[1, 2]], columns=["a", "a"]), pa.table([[1], [2]], names=["a", "a"])]
    for table in twice:
        with pytest.raises(InvalidInput, match="the name of two columns") as refused:
            rows_of(table)
        assert refused.value.errors[0].field == "rows"


def test_what_gives_arrow_a_table_gives_its_rows_and_a_column_is_refused() -> None:
    table = pa.table({"a": [1, None]})
    assert rows_of(table.to_reader()) == table.to_pylist()
    for column in (pd.Series([1.0]), pa.chunked_array([[1]])):
        with pytest.raises(InvalidInput, match="must be a DataFrame or an Arrow table"):
            rows_of(column)
