"""POST /v1/estimates: the checks of a submission, and nothing submitted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.spec.spec import JobSpec
from ridgeway.views import DryRun

BAD: list[dict[str, Any]] = [
    {},
    {"dataset": "nothing"},
    {"dataset": "digits", "target": "nothing"},
    {"dataset": "digits", "epochs": 0, "trails": 7},
    {"dataset": "digits", "model": {"kind": "mlp", "hidden": [0]}},
    {"dataset": "digits", "model": {"kind": "nobody-offers-it"}},
    {"dataset": "digits", "search": {"penalty": ["l1", "nobody-offers-it"]}},
    {"dataset": "digits", "search": {"lambda": {"low": 2, "high": 1}}},
    {"dataset": "digits", "warm_start": {"study": "nothing"}},
    {"dataset": "digits", "task": "regression", "objective": "accuracy"},
    {"dataset": "diabetes", "kind": "path", "penalty": "none"},
]
GOOD: list[dict[str, Any]] = [
    {"dataset": "digits"},
    {"dataset": "diabetes", "kind": "path", "penalty": "l1"},
    {"dataset": "wine", "model": {"kind": "linear"}, "search": {"lambda": [0.1, 1]}, "trials": 9},
    {"dataset": "wine", "drop": ["ash"], "name": 'it\'s "no" name; a'},
]


@pytest.mark.parametrize("spec", BAD)
def test_a_job_that_would_be_refused_has_the_same_problem(http: httpx.Client, spec):
    told, submitted = http.post("/v1/estimates", json=spec), http.post("/v1/jobs", json=spec)
    assert told.status_code == submitted.status_code == 422
    assert told.json() == submitted.json()


@pytest.mark.parametrize("spec", GOOD)
def test_what_is_told_is_the_job_that_would_be_made(http: httpx.Client, spec):
    told = DryRun.model_validate(http.post("/v1/estimates", json=spec).json())
    assert http.get("/v1/jobs").json()["jobs"] == []
    job = http.post("/v1/jobs", json=spec).json()
    assert told.spec == JobSpec.model_validate(job["spec"])
    assert told.trials == job["progress"]["trials"]
    assert [*told.warnings, job["waiting"]] == job["warnings"]  # nobody is there to train it


def test_it_says_what_is_not_known(http: httpx.Client, database):
    told = http.post("/v1/estimates", json={"dataset": "digits"}).json()
    assert (told["seconds"], told["workers"]) == (None, 0)
    with database.transaction() as transaction:
        models = frozenset({"linear", "mlp"})
        record_worker(
            transaction, WorkerRecord("w", "here", 1, "cpu", "0", models, frozenset({"digits"}))
        )
    told = http.post("/v1/estimates", json={"dataset": "digits"}).json()
    assert told["workers"] == 1
    assert told["sentence"] == "Unknown: no worker has trained a model like it yet."


def test_a_body_that_does_not_say_that_it_is_json_is_refused(http: httpx.Client):
    assert http.post("/v1/estimates", content=b'{"dataset": "digits"}').status_code == 415


@pytest.mark.parametrize("spec", [GOOD[1], GOOD[2]])
def test_each_piece_of_code_submits_the_job(http: httpx.Client, spec):
    """Python, the command and curl, run as they stand."""
    told = DryRun.model_validate(http.post("/v1/estimates", json=spec).json())
    scripts = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}"}
    for command in (
        [sys.executable, "-c", told.code.python],
        ["bash", "-eu", "-c", told.code.shell],
        ["bash", "-e", "-c", told.code.curl],
    ):
        subprocess.run(command, check=True, env=environment, capture_output=True)
        job = http.get("/v1/jobs?limit=1").json()["jobs"][0]
        assert JobSpec.model_validate(job["spec"]) == told.spec
    assert len(http.get("/v1/jobs").json()["jobs"]) == 3
