"""Specs beside each other: the fields in which they differ, and no other."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.pages.comparison import differences

RANGE = {"low": 1e-4, "high": 0.1, "log": True}


def told(*specs: Any) -> dict[str, list[str]]:
    return {row.name: list(row.cells) for row in differences(specs)}


def test_objects_differ_by_their_fields_and_ranges_as_a_whole() -> None:
    one = {
        "name": "a",
        "model": {"kind": "linear"},
        "search": {"lambda": "auto", "penalty": ["l1"]},
    }
    two = {"name": "b", "model": {"kind": "mlp", "hidden": [8]}, "search": {"lambda": RANGE}}
    assert told(one, two) == {
        "model.kind": ["linear", "mlp"],
        "search.lambda": ["auto", "0.0001 to 0.1, logarithmic"],
        "search.penalty": ["l1", "-"],
        "model.hidden": ["-", "[8]"],
    }


def test_a_range_that_can_not_be_read_is_shown_as_it_is() -> None:
    odd = {"low": "x", "high": None, "log": True}
    assert told({"seed": odd}, {"seed": 1})["seed"] == [
        '{"low": "x", "high": null, "log": true}',
        "1",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_a_spec_does_not_differ_from_itself_whatever_is_in_it(spec: Any) -> None:
    assert told(spec, spec) == {}


def test_what_is_empty_or_not_there_is_no_difference():
    assert differences([{"columns": {}}, {"columns": None}, {}]) == []
    (row,) = differences([{"columns": {"day": "date"}}, {"columns": {}}])
    assert (row.name, row.cells) == ("columns.day", ["date", "-"])
