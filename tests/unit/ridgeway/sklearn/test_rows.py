"""Rows as scikit-learn has them, made the table of a job."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ridgeway.errors import InvalidInput
from ridgeway.sklearn.rows import (
    Given,
    job_rows,
    labels_of,
    table_of,
    target_name,
    weighing_rows,
)


def given(*target: Any, **more: Any) -> Given:
    return Given(np.array(target), **{name: np.array(own) for name, own in more.items()})


def test_the_target_comes_last_and_other_columns_keep_their_names() -> None:
    x = pa.table({"target": [1.0, 2.0], "group": [3.0, 4.0]})
    made = job_rows(x, given(5.0, 6.0, groups=["a", "b"]), "target")
    assert made.table.column_names == ["target", "group", "group_", "target_"]
    assert (made.groups, made.target) == ("group_", "target_")
    assert made.table["target"].to_pylist() == [1.0, 2.0]


def test_a_target_of_classes_holds_their_labels() -> None:
    x = pa.table({"x": [1.0, 2.0, 3.0]})
    made = job_rows(x, given(1, 0, 1), "y", ["no", "yes"])
    assert made.table["y"].to_pylist() == ["yes", "no", "yes"]
    assert made.labels == ("no", "yes")


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ([3, 7], [3, 7]),
        ([False, True], ["false", "true"]),
        (["a", "b"], ["a", "b"]),
        (["", "b"], [0, 1]),  # a data set has no empty texts for classes
        (["x" * 300, "y"], [0, 1]),
        ([2**60, 2**60 + 2], [str(2**60), str(2**60 + 2)]),
    ],
    ids=str,
)
def test_labels_are_what_people_call_the_classes(classes: list[Any], labels: list[Any]) -> None:
    assert labels_of(np.array(classes)) == labels


def test_rows_of_no_weight_go_and_equal_weights_are_none() -> None:
    x = pa.table({"x": [1.0, 2.0, 3.0]})
    table, own = weighing_rows(x, given(1, 2, 3, weights=[2.0, 0.0, 2.0]))
    assert table["x"].to_pylist() == [1.0, 3.0]
    assert own.target.tolist() == [1, 3]
    assert own.weights is None
    _, own = weighing_rows(x, given(1, 2, 3, weights=[2.0, 1.0, 2.0]))
    assert own.weights is not None


def test_columns_of_a_frame_may_have_numbers_for_names() -> None:
    table = table_of(pd.DataFrame({0: [1.0], 1: [2.0]}), [])
    assert table.column_names == ["0", "1"]


def test_a_column_named_twice_is_refused() -> None:
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises((ValueError, InvalidInput), match="a"):
        job_rows(table_of(frame, []), given(1.0), "y")


@pytest.mark.parametrize("name", [None, "", " ", "a" * 503, "a\x00b", ("a", "b"), 0, "height"])
def test_a_target_of_any_name_has_one_that_a_data_set_may_have(name: Any) -> None:
    own = target_name(pd.Series([1.0, 2.0], name=name))
    made = job_rows(table_of(pd.DataFrame({"x": [1.0, 2.0]}), []), given(1.0, 2.0), own)
    may_stay = name in (("a", "b"), 0, "height")
    assert made.target == (str(name) if may_stay else "target")
