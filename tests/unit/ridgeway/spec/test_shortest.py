"""The shortest body means the same job, and no part of it could be left out."""

from __future__ import annotations

from typing import Any

import pytest

from ridgeway.data.bundled import bundled_profiles
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.shortest import shortest
from ridgeway.spec.wording import parse_spec

WRITTEN: list[dict[str, Any]] = [
    {"dataset": "digits"},
    {"dataset": "digits", "model": {"kind": "linear"}},
    {"dataset": "digits", "model": {"kind": "linear"}, "optimizer": "sgd"},
    {"dataset": "digits", "model": {"hidden": [32]}, "epochs": 5, "name": "a name"},
    {"dataset": "digits", "model": {"kind": "lab", "depth": 3, "of": {"a": [1, None]}}},
    {"dataset": "digits", "search": {"penalty": ["l1"], "lambda": {"low": 0.1, "high": 1.0}}},
    {"dataset": "digits", "validation": {"kind": "holdout"}, "early_stopping": {"patience": 3}},
    {"dataset": "digits", "objectives": ["loss", "nonzero_weights"]},
    {"dataset": "digits", "validation": {"repeats": 2}, "drop": ["pixel_0_0", "pixel_0_1"]},
]


@pytest.mark.parametrize("body", WRITTEN)
def test_what_a_person_wrote_is_the_shortest(body: dict[str, Any]):
    assert shortest(parse_spec(body)) == body


@pytest.mark.parametrize("body", WRITTEN)
def test_it_is_read_as_the_job_that_was_made_of_it(body: dict[str, Any]):
    spec = resolve_spec(parse_spec(body), bundled_profiles()["digits"])
    assert parse_spec(shortest(spec)) == spec
    assert shortest(spec) == body | {"target": "label", "task": "classification"}


def test_a_path_is_told_as_jobs_show_it():
    path = parse_spec({"kind": "path", "dataset": "diabetes", "penalty": "l1", "strengths": 9})
    told = shortest(path)
    assert parse_spec(told) == path
    assert {"kind", "dataset", "search", "strengths"} <= told.keys()
