"""`ridgeway path`: shows a path, or has one made beside a job, or of a data set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result
from scripted import Answer, make_answered_job, make_job, scripted

from ridgeway.cli import main
from ridgeway.paths import PathPoint, RegularisationPath

JOB = "01a217a6-e05e-77d9-999a-76e1b7ebf928"
QUEUED = make_job(state="queued").model_dump(mode="json")
SUCCEEDED = make_answered_job().model_dump(mode="json")
POINTS = [
    PathPoint(strength=own, value=value, standard_error=1.0, nonzero_weights=1.0)
    for own, value in [(0.3, 9.0), (0.2, 5.5), (0.1, 5.0)]
]
PATH = RegularisationPath(
    penalty="l1",
    objective="mse",
    outputs=["y"],
    columns=[],
    best_strength=0.1,
    one_standard_error_strength=0.2,
    points=POINTS,
).model_dump(mode="json")


def ridgeway(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["path", *arguments])


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (
            [JOB, "--penalty", "elastic_net", "--l1-ratio", "0.3", "--strengths", "20"],
            f"/v1/jobs/{JOB}/path",
            {"penalty": "elastic_net", "l1_ratio": 0.3, "strengths": 20},
        ),
        (
            ["diabetes", "--penalty", "l1", "--target", "y"],
            "/v1/jobs",
            {
                "kind": "path",
                "dataset": "diabetes",
                "model": {"kind": "linear"},
                "penalty": "l1",
                "target": "y",
            },
        ),
        (
            ["digits", "--penalty", "l2", "--model", "mlp"],
            "/v1/jobs",
            {"kind": "path", "dataset": "digits", "model": {"kind": "mlp"}, "penalty": "l2"},
        ),
    ],
)
def test_a_penalty_makes_a_path_beside_a_job_or_of_a_data_set(
    arguments: list[str], path: str, body: dict[str, Any]
) -> None:
    with scripted(Answer(201, QUEUED)) as script:
        done = ridgeway(*arguments, "--url", script.url)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == QUEUED["id"]
    (request,) = script.requests
    assert (request.method, request.path, json.loads(request.body)) == ("POST", path, body)
    assert request.headers["idempotency-key"]


def test_who_waits_is_shown_the_path_with_its_two_strengths() -> None:
    with scripted(Answer(201, QUEUED), Answer(200, SUCCEEDED), Answer(200, PATH)) as script:
        done = ridgeway("diabetes", "--penalty", "l1", "--wait", "--url", script.url)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.rstrip().endswith("λ_min")] == ["0.100"]
    assert [line.split()[0] for line in lines if line.rstrip().endswith("λ_1se")] == ["0.200"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([JOB, "--strengths", "20"], "--strengths is of a new path: it needs --penalty."),
        ([JOB, "--wait"], "--wait is of a new path: it needs --penalty."),
        ([JOB, "--penalty", "l1", "--target", "y"], "--target is the job's own"),
    ],
)
def test_what_goes_with_no_new_path_is_bad_input(arguments: list[str], message: str) -> None:
    done = ridgeway(*arguments, "--url", "http://127.0.0.1:9")
    assert done.exit_code == 2
    assert message in done.stderr
