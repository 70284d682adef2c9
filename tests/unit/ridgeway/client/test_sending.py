"""Rows that a program gives a client, as they are sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ridgeway.client.sending import rows_body
from ridgeway.errors import InvalidInput


def test_decimals_are_sent_as_numbers() -> None:
    told = json.loads(rows_body([{"a": Decimal("1.5"), "b": Decimal("NaN")}]))
    assert told == {"rows": [{"a": 1.5, "b": None}]}


def test_numpys_scalars_are_sent_as_plain_values() -> None:
    row = {"a": np.float32("nan"), "b": np.int64(2), "c": np.float32(0.5), "d": np.True_, "e": "x"}
    told = json.loads(rows_body([row]))
    assert told == {"rows": [{"a": None, "b": 2, "c": 0.5, "d": True, "e": "x"}]}


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        (pd.DataFrame({"a": [1]}), "rows"),
        ({"a": [1]}, "rows"),
        (np.ones((2, 1)), "rows"),
        ("a", "rows"),
        ([{"a": 1}, [1]], "rows.1"),
    ],
)
def test_rows_that_are_no_mappings_are_told_what_is_accepted(rows: Any, field: str) -> None:
    with pytest.raises(InvalidInput, match=r"DataFrame: \.to_dict\('records'\)") as refused:
        rows_body(rows)
    assert refused.value.errors[0].field == field


@pytest.mark.parametrize("value", [np.inf, np.ones(2), object()])
def test_what_json_can_not_say_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="can't be written as JSON"):
        rows_body([{"a": value}])
