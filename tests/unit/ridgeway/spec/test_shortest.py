"""The shortest body means the same job, and no part of it could be left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ridgeway.data.bundled import bundled_profiles
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.shortest import shortest
from ridgeway.spec.spec import JobSpec
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
    {"dataset": "digits", "model": {"kind": "linear"}, "penalty_factors": {"pixel_0_0": 2.0}},
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


def test_what_is_said_by_column_is_read_at_most_once(monkeypatch: pytest.MonkeyPatch):
    """Read again for each field that may be left out, 20,000 columns took seconds."""
    names = [f"x{place}" for place in range(20_000)]
    body: dict[str, Any] = {
        "dataset": "wide",
        "model": {"kind": "lab", "of": {"a": list(range(5_000))}},
        "columns": dict.fromkeys(names, "date"),
        "bounds": dict.fromkeys(names[:9_000], "nonnegative"),
        "drop": names[:9_000],
    }
    spec = parse_spec(body)
    read: list[int] = []

    def counting(tried: dict[str, Any]) -> JobSpec:
        read.append(len(json.dumps(tried)))
        return parse_spec(tried)

    monkeypatch.setattr("ridgeway.spec.shortest.parse_spec", counting)
    assert shortest(spec) == body
    assert sum(read) < len(json.dumps(body))
    assert len(read) < 200
