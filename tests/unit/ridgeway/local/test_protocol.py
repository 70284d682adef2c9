"""A protocol for few rows: as many folds as they are enough for."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.data.tables import canonical_table, profile_table
from ridgeway.errors import InvalidInput
from ridgeway.local.protocol import fitted
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec


def profile(targets: list[Any], **columns: list[Any]) -> DatasetProfile:
    table = pa.table({"x": range(len(targets)), **columns, "y": targets})
    return profile_table(canonical_table(table))


def folds_of(own: DatasetProfile, **fields: Any) -> tuple[int, list[str]]:
    spec, notes = fitted(parse_spec({"dataset": "d", **fields}), own)
    return spec.folds, notes


def test_rows_that_are_enough_leave_the_spec_as_it_is() -> None:
    spec = parse_spec({"dataset": "d"})
    assert fitted(spec, profile([float(row) / 3 for row in range(50)])) == (spec, [])


def test_a_class_allows_no_more_folds_than_it_has_rows_beside_the_test_set() -> None:
    folds, (note,) = folds_of(profile([0] * 50 + [1] * 4))  # one of four is sealed
    assert folds == 3
    assert note.startswith("5 folds need more rows")


def test_groups_allow_one_fold_less_than_there_are_of_them() -> None:
    own = profile([row / 3 for row in range(40)], g=[f"g{row % 4}" for row in range(40)])
    assert folds_of(own, groups="g")[0] == 3


def test_rows_without_a_target_do_not_count() -> None:
    own = profile([None] * 40 + [row / 3 for row in range(10)])
    assert folds_of(own, missing_target="drop")[0] == 4  # of eight rows beside the test set


def test_a_holdout_is_left_to_be_refused() -> None:
    spec = parse_spec({"dataset": "d", "validation": {"kind": "holdout"}})
    assert fitted(spec, profile([0.5, 1.5, 2.5])) == (spec, [])


@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    folds=st.integers(2, 20),
    fraction=st.floats(0.05, 0.9),
)
def test_what_two_folds_can_be_made_of_is_accepted(
    counts: list[int], folds: int, fraction: float
) -> None:
    own = profile([f"class {place}" for place, count in enumerate(counts) for _ in range(count)])

    def accepted(wanted: int, *, fit: bool) -> bool:
        fields = {"validation": {"folds": wanted}, "test_fraction": fraction}
        spec = parse_spec({"dataset": "d", **fields})
        try:
            resolve_spec(fitted(spec, own)[0] if fit else spec, own)
        except InvalidInput:
            return False
        return True

    assert accepted(folds, fit=True) == accepted(2, fit=False)


@pytest.mark.parametrize("target", [[1.5], ["a", "b"], [0.5, 1.5, 2.5]], ids=str)
def test_too_few_rows_for_anything_are_left_to_be_refused(target: list[Any]) -> None:
    spec = parse_spec({"dataset": "d"})
    assert fitted(spec, profile(target)) == (spec, [])
