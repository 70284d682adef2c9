"""A column of sample weights: what the door refuses, told from the spec and the profile alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ridgeway.data.tables import canonical_table, profile_table
from ridgeway.errors import InvalidInput
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

COLUMNS: dict[str, list[Any]] = {
    "x": list(range(100)),
    "w": [row % 4 / 2 for row in range(100)],
    "who": ["a", "b"] * 50,
    "gap": [None, 1.0] * 50,
    "below": [-0.5, 1.0] * 50,
    "zero": [0.0] * 100,
    "y": ["no", "yes"] * 50,
}
PROFILE = profile_table(canonical_table(pa.table(COLUMNS)))


def checked(weights: str, profile: DatasetProfile = PROFILE, **fields: Any) -> JobSpec:
    spec = parse_spec({"dataset": "d", "weights": weights, **fields})
    check_spec(spec)
    return resolve_spec(spec, profile)


def test_weights_of_0_and_more_are_taken_and_are_no_input() -> None:
    assert checked("w").weights == "w"
    assert checked("w").apart == {"w"}


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("v", {}, "no such column; columns: x, w"),
        ("y", {}, "is the target"),
        ("w", {"target": "w"}, "is the target too; weights need a column of their own"),
        ("w", {"groups": "w"}, "names the groups too"),
        ("w", {"drop": ["x", "w"]}, "is named in `drop` too"),
        ("w", {"validation": {"kind": "forward", "by": "w"}}, "orders the rows"),
        ("who", {}, "holds texts, which weigh nothing; accepted: a column of numbers >= 0"),
        ("gap", {}, "has 50 missing values; every row needs a weight"),
        ("below", {}, "holds -0.5, a weight below 0"),
        ("zero", {}, "holds zeros only"),
    ],
)
def test_what_weighs_no_rows_is_refused(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked(name, **fields)
    own = [error for error in refused.value.errors if error.field == "weights"]
    assert [error.value for error in own] == [name]
    assert message in own[0].message


def test_a_profile_without_a_minimum_is_read_and_left_to_workers() -> None:
    stored = PROFILE.model_dump()
    for column in stored["columns"]:
        del column["minimum"], column["maximum"]
    assert checked("below", DatasetProfile.model_validate(stored)).weights == "below"


def test_a_table_needs_an_input_besides_weights() -> None:
    profile = profile_table(canonical_table(pa.table({name: COLUMNS[name] for name in "wy"})))
    with pytest.raises(InvalidInput, match="has no input column besides the weights"):
        checked("w", profile)
