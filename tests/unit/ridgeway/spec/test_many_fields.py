"""A spec of a megabyte of nonsense is refused about as fast as its JSON is read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from ridgeway.errors import InvalidInput
from ridgeway.spec.strict import MOST_UNKNOWN, MOST_VALUES
from ridgeway.spec.wording import parse_spec

MANY = {f"k{index}": 1 for index in range(80_000)}
PLACES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "": lambda fields: fields,
    "search": lambda fields: {"search": fields},
    "search.lambda": lambda fields: {"search": {"lambda": fields}},
    "model": lambda fields: {"model": {"kind": "mlp", **fields}},
    "validation": lambda fields: {"validation": fields},
    "warm_start": lambda fields: {"warm_start": fields},
    "early_stopping": lambda fields: {"early_stopping": fields},
}


def seconds(call: Callable[[], Any]) -> float:
    """The shortest of three, so that a busy machine counts less."""
    taken: list[float] = []
    for _ in range(3):
        begun = time.process_time()
        call()
        taken.append(time.process_time() - begun)
    return min(taken)


def refused(body: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_spec(body)
    return caught.value


@pytest.mark.parametrize("place", PLACES)
def test_very_many_unknown_fields_are_one_error_and_soon_told(place: str) -> None:
    body = {"dataset": "d"} | PLACES[place](MANY)
    written = json.dumps(body)
    [error] = refused(body).errors
    assert error.field == place
    assert "fields, most of them unknown; accepted: " in error.message
    assert seconds(lambda: refused(body)) < 2 * seconds(lambda: json.loads(written))


@pytest.mark.parametrize("place", PLACES)
def test_a_few_unknown_fields_are_named_one_by_one(place: str) -> None:
    few = {f"k{index}": 1 for index in range(MOST_UNKNOWN - 10)}
    error = refused({"dataset": "d"} | PLACES[place](few))
    assert sum(each.message == "unknown field" for each in error.errors) == len(few)


@pytest.mark.parametrize("options", [MANY, {"widths": [1] * (MOST_VALUES + 1)}])
def test_a_plug_in_may_not_have_very_many_options(options: dict[str, Any]) -> None:
    [error] = refused({"dataset": "d", "model": {"kind": "forest", **options}}).errors
    assert error.field == "model"
    assert f"{MOST_VALUES}" in error.message


def test_a_plug_in_may_have_many_options() -> None:
    spec = parse_spec(
        {"dataset": "d", "model": {"kind": "forest", "widths": [1] * (MOST_VALUES - 1)}}
    )
    assert len(json.loads(spec.model.model_dump_json())["widths"]) == MOST_VALUES - 1
