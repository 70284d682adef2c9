"""Numbers as people write them, against numbers written in each format."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ridgeway.data.settling import number_format, numbers
from ridgeway.texts.numbers import NumberFormat

FORMATS = [
    NumberFormat(),
    NumberFormat(thousands=","),
    NumberFormat(decimal=",", thousands="."),
    NumberFormat(decimal=",", thousands=" "),
    NumberFormat(decimal=","),
    NumberFormat(thousands="'"),
    NumberFormat(thousands=",", prefix="$"),
    NumberFormat(decimal=",", suffix="€"),
    NumberFormat(suffix="%"),
]


def written(value: float, own: NumberFormat) -> str:
    """Write a number of two decimals in a format, by Python's own grouping."""
    text = f"{abs(value):,.2f}".replace(",", "_").replace(".", own.decimal)
    text = text.replace("_", own.thousands)
    return f"{'-' if value < 0 else ''}{own.prefix}{text}{own.suffix}"


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.sampled_from(FORMATS))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_by_python_and_arrow(values: list[int], own: NumberFormat) -> None:
    wanted = [value / 100 for value in values]
    texts = [written(value, own) for value in wanted]
    assert [own.read(text) for text in texts] == wanted
    column = pa.chunked_array([texts])
    assert numbers(column, own).to_pylist() == wanted
    assert number_format(column.unique()) is not None  # maybe another that reads them as well


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["$1,234", "-$3", "$-2.5", "($7)"], [1234, -3, -2.5, -7]),
        (["12.3%", "4 %"], [12.3, 4]),
        (["1.234,56", "7"], [1234.56, 7]),
        (["1\u00a0234,5", "\u22122"], [1234.5, -2]),
        (["1,5e-3", "2"], [0.0015, 2]),
        (["US$ 1,200.50"], [1200.5]),
    ],
)
def test_a_column_of_one_format_is_read(texts: list[str], wanted: list[float]) -> None:
    own = number_format(pa.array(texts))
    assert own is not None
    assert [own.read(text) for text in texts] == wanted


@pytest.mark.parametrize(
    "texts",
    [
        ["1.234,56", "1,234.56"],
        ["$5", "5"],
        ["5%", "0.05"],
        ["1,23,456"],
        ["1e31"],
        ["(1)", "(2)"],
        ["12 apples"],
        ["1_000"],
        ["٣"],
        ["5 kg"],
        [],
    ],
    ids=str,
)
def test_others_are_no_numbers(texts: list[str]) -> None:
    assert number_format(pa.array(texts, pa.string())) is None


@pytest.mark.parametrize("text", ["", "1,234.5", "x", "1.23", "--1"])
def test_a_text_of_another_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no number such as '1\.234,5'"):
        NumberFormat(decimal=",", thousands=".").read(text)


def test_json_keeps_a_format() -> None:
    own: Any = NumberFormat(decimal=",", thousands=".", suffix="€")
    assert NumberFormat.model_validate_json(own.model_dump_json()) == own
