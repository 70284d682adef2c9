"""A path job's spec: a search whose trials are given, and what is refused of it by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ridgeway.errors import InvalidInput
from ridgeway.spec.grids import budget
from ridgeway.spec.paths import OF_SEARCHES, PathSpec
from ridgeway.spec.resolving import check_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.strengths import strengths_within
from ridgeway.spec.wording import parse_spec

PATH = {"kind": "path", "dataset": "diabetes", "penalty": "l1"}
LINEAR = {**PATH, "model": {"kind": "linear"}}


@pytest.mark.parametrize(
    ("given", "count", "rate"),
    [
        (LINEAR, 100, None),
        (PATH, 32, 0.01),
        ({**LINEAR, "optimizer": "sgd", "strengths": 7}, 7, 0.01),
        ({**LINEAR, "strengths": [0.3, 1, 0.2]}, 3, None),
        ({**PATH, "learning_rate": 0.2, "weight_decay": 1e-3}, 32, 0.2),
    ],
)
def test_a_path_is_a_search_that_is_given_its_trials(
    given: dict[str, Any], count: int, rate: float | None
) -> None:
    spec = parse_spec(given)
    check_spec(spec)
    assert (spec.kind, spec.sampler, spec.search.penalty) == ("path", "grid", ["l1"])
    assert (spec.trials, budget(spec)) == (count, count)
    assert spec.search.learning_rate == rate
    assert spec.search.weight_decay == given.get("weight_decay", None if rate is None else 0.0)
    # What a job shows of itself can be sent again, and is what its row keeps.
    assert parse_spec(spec.model_dump(mode="json")) == spec


def test_a_path_has_every_field_of_a_search_but_those_that_search() -> None:
    own = set(PathSpec.model_fields) - {"penalty", "l1_ratio", "learning_rate", "weight_decay"}
    assert own == (set(JobSpec.model_fields) - OF_SEARCHES) | {"kind", "strengths"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *({"sampler": "tpe", "pruner": "halving", "stop": "auto", "trials": 5}.items()),
        *({"warm_start": {"job": "x"}, "search": {"lambda": 0.1}}.items()),
        *({"penalty": "none", "l1_ratio": 0.5, "strengths": 1, "learning_rate": 0.0}.items()),
        ("penalty", ["l1", "l2"]),
        ("strengths", [0.0, 0.1]),
        ("strengths", [0.1, 0.1]),
        ("strengths", 1001),
        ("strengths", "auto"),
    ],
)
def test_what_a_path_can_not_have_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_spec({**PATH, field: value})
    assert {error.field.split(".")[0] for error in refused.value.errors} == {field}


def test_the_optimum_has_no_rate() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_spec({**LINEAR, "optimizer": "exact", "weight_decay": 0.1})
    assert [error.field for error in refused.value.errors] == ["weight_decay"]


@pytest.mark.parametrize(
    "changed",
    [
        {"sampler": "tpe"},
        {"trials": 99},
        {"pruner": "median"},
        {"stop": "auto"},
        {"strengths": None},
        {"kind": "search"},
        {"search.penalty": ["l1", "l2"]},
        {"search.penalty": "none"},
        {"search.lambda": 0.1},
        {"search.label_smoothing": {"low": 0.0, "high": 0.5}},
    ],
)
def test_a_path_that_a_job_showed_can_not_become_a_search(changed: dict[str, Any]) -> None:
    ((field, value),) = changed.items()
    shown = parse_spec(LINEAR).model_dump(mode="json")
    whole, _, name = field.rpartition(".")
    (shown[whole] if whole else shown)[name] = value
    with pytest.raises(InvalidInput) as refused:
        check_spec(parse_spec(shown))
    named = "strengths" if field == "kind" else field
    assert named in [error.field for error in refused.value.errors]


def test_strengths_fall_evenly_in_logarithms_from_end_to_end() -> None:
    found = strengths_within(100, 0.3e-4, 0.3)
    np.testing.assert_allclose(found, np.geomspace(0.3, 0.3e-4, 100), rtol=1e-12)
    assert (found[0], found[-1]) == (0.3, 0.3e-4)
    assert strengths_within([0.1, 0.3, 0.2], 0.1, 0.3) == [0.3, 0.2, 0.1]
