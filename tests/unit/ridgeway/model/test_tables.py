"""Rows that a program gives a model: which are taken, and what is said of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ridgeway.errors import InvalidInput
from ridgeway.model.file import Column
from ridgeway.model.tables import columns_of

COLUMNS = [Column("a", "number"), Column("b", "category")]


@pytest.mark.parametrize(
    "rows",
    [
        pd.DataFrame([[1, "x", 2]], columns=["a", "b", "a"]),
        pa.table([[1], ["x"], [2]], names=["a", "b", "a"]),
    ],
    ids=["DataFrame", "Arrow"],
)
def test_a_needed_column_stands_once(rows: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^a: stands in the table more than once") as refused:
        columns_of(rows, COLUMNS)
    assert [error.field for error in refused.value.errors] == ["a"]
    assert columns_of(rows, COLUMNS[1:])["b"].tolist() == ["x"]


@pytest.mark.parametrize("value", [1, "12", None, np.float64(3), np.ones((2, 2)), {0: 1}])
def test_a_column_by_its_name_is_a_list_of_values(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^a: must be a list of values") as refused:
        columns_of({"a": value, "b": ["x"]}, COLUMNS)
    assert refused.value.errors[0].field == "a"


def test_values_that_are_lists_are_refused_as_such() -> None:
    with pytest.raises(InvalidInput, match=r"rows\.0\.a: must be a number.*met a list"):
        columns_of({"a": [[1, 2], [3, 4]], "b": ["x", "y"]}, COLUMNS)
