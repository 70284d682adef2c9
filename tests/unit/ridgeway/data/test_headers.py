"""Which first rows hold names."""

from __future__ import annotations

import pytest

from ridgeway.data.headers import holds_names

NUMBERS = [[str(row), f"{row}.5", "ab"[row % 2]] for row in range(12)]


@pytest.mark.parametrize(
    ("first", "below"),
    [
        (["age", "height", "who"], NUMBERS),
        (["2019", "2020", "who"], NUMBERS),
        (["0", "1", "2"], [["5", "6", "7"]] * 12),
        (["1st", "2nd", "who"], NUMBERS),
        (["5", "kind", "who"], [["a", "b", "c"]] * 12),  # a number over texts
        (["a", "b", "c"], [["x", "y", "z"]] * 12),
        (["age", "who"], []),
    ],
)
def test_names(first: list[str], below: list[list[str]]) -> None:
    assert holds_names(first, below)


@pytest.mark.parametrize(
    ("first", "below"),
    [
        (["5.1", "3.5", "setosa"], NUMBERS),
        (["7", "7", "a"], NUMBERS),
        (["39", "2.5", "a"], NUMBERS),
        (["2019", "2020", "a"], NUMBERS),  # the text comes again
        (["2024-05-01", "x"], [["2024-05-02", "y"]] * 12),
        (["$5", "x"], [["$6", "y"]] * 12),
        (["a", "x"], [["a", "x"], ["b", "y"]] * 6),
        (["1", "1"], [["3", "-"]]),
    ],
)
def test_values(first: list[str], below: list[list[str]]) -> None:
    assert not holds_names(first, below)
