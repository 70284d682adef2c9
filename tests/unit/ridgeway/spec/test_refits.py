"""`"refit": "debias"` is refused where there are no columns to fit once more."""

from __future__ import annotations

from typing import Any

import pytest

from ridgeway.errors import InvalidInput
from ridgeway.spec.resolving import check_spec
from ridgeway.spec.wording import parse_spec

LINEAR = {"model": {"kind": "linear"}}


def check(**fields: Any) -> None:
    check_spec(parse_spec({"dataset": "wine", "refit": "debias", **fields}))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"model": {"kind": "plugin:own"}}, "those of plugin:own are not known"),
        ({**LINEAR, "search": {"penalty": ["none", "l2"]}}, "and the search has none, l2"),
    ],
)
def test_the_door_refuses_what_chooses_no_columns(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check(**fields)
    (error,) = refused.value.errors
    assert (error.field, error.value) == ("refit", "debias")
    assert why in error.message
    assert error.message.endswith("accepted: penalised")


@pytest.mark.parametrize(
    "fields", [LINEAR, {**LINEAR, "optimizer": "sgd"}, {"model": {"kind": "mlp", "hidden": [4]}}]
)
def test_one_penalty_that_sets_zeros_is_enough(fields: dict[str, Any]) -> None:
    check(**fields, search={"penalty": ["l2", "l1"]})
