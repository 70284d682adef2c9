"""What a job's page offers to do, and what it says that the job is at."""

from __future__ import annotations

from typing import Any

import pytest
from scripted import make_job

from ridgeway.spec.wording import parse_spec
from ridgeway.views import Job
from service.pages.actions import Action, actions_for
from service.pages.wording import at


def offered(job: Job) -> dict[str, Action]:
    return {action.name: action for action in actions_for(job)}


def with_trials(job: Job, **counts: int) -> Job:
    return job.model_copy(update={"progress": job.progress.model_copy(update=counts)})


def test_a_job_that_is_being_answered_is_offered_neither_pause_nor_answer():
    searching = make_job()
    assert [*offered(searching)] == ["pause", "answer", "extend", "cancel"]
    answering = with_trials(make_job(answering=True), running=0, complete=12, failed=16)
    assert [*offered(answering)] == ["extend", "cancel"]
    assert at(answering, 1).startswith("Answering, from 12 trials. ")
    assert at(searching, 1) == "About 1 min 15 s of search left."


@pytest.mark.parametrize("state", ["running", "succeeded", "cancelled"])
def test_what_is_asked_has_a_question_and_two_answers(state: str):
    for action in offered(make_job(state=state)).values():
        if action.asks:
            assert action.title
            assert action.yes
            assert action.no not in ("Cancel", action.yes)


@pytest.mark.parametrize(("complete", "there"), [(4, True), (6, False)])
def test_a_grid_that_ended_early_can_go_on_to_its_last_point(complete: int, there: bool):
    grid: dict[str, Any] = {
        "dataset": "wine",
        "sampler": "grid",
        "trials": 6,
        "search": {
            "penalty": "l1",
            "lambda": [0.1, 0.2, 0.3],
            "learning_rate": [0.1, 0.2],
            "weight_decay": 0,
        },
    }
    job = make_job(state="succeeded", spec=parse_spec(grid))
    counts = {"trials": 6, "complete": complete, "pruned": 0, "failed": 0, "running": 0}
    assert ("extend" in offered(with_trials(job, **counts))) == there
