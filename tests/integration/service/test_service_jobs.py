"""/v1/jobs over real HTTP, on both databases."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.database.tables import deleted_jobs
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from ridgeway.views import Job, JobPage, TrialDetail, TrialPage

SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
}
CLAIMANT = Claimant(
    worker_id="worker-1",
    models=frozenset({"linear", "mlp"}),
    datasets=frozenset({"digits"}),
    sizes=Sizes(4, 64),
    lease_seconds=30.0,
    max_attempts=3,
)


def submit(http: httpx.Client, **fields: Any) -> Job:
    answer = http.post("/v1/jobs", json={"dataset": "digits", "trials": 8} | fields)
    assert answer.status_code == 201, answer.text
    return Job.model_validate(answer.json())


def finish_one_population(database: Database) -> int:
    """Claim, reserve and finish; trial 1 fails, the others' values are their numbers."""
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
    assert lease is not None
    with database.transaction() as transaction:
        params = [{"penalty": "l1", "lambda": 0.5}] * lease.size
        first = holding.reserve(transaction, lease, params, SPACE)
    facts = TrialFacts(standard_error=0.1, nonzero_weights=3.0, weights=5)
    outcomes = [
        Outcome(number, None, reason="diverged in epoch 1")
        if number == 1
        else Outcome(number, float(number), curve=(2.0, float(number)), facts=facts)
        for number in range(first, first + lease.size)
    ]
    with database.transaction() as transaction:
        holding.finish_population(transaction, replace(lease, first_number=first), outcomes)
    return lease.size


def test_a_submitted_job_comes_back_with_its_address_and_every_default(http):
    answer = http.post("/v1/jobs", json={"dataset": "digits"})
    assert answer.status_code == 201
    job = Job.model_validate(answer.json())
    assert answer.headers["location"] == f"/v1/jobs/{job.id}" == job.links.self
    assert job.state == "queued"
    assert (job.progress.trials, job.spec.folds, job.spec.sampler) == (200, 5, "tpe")
    assert (job.spec.target, job.spec.task) == ("label", "classification")
    assert http.get(answer.headers["location"]).json() == answer.json()


GRID_OF_A_RANGE = {"learning_rate": 0.1, "weight_decay": [0.0, 0.1], "penalty": "l1"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"dataset": "digitz"}, "dataset"),
        ({"dataset": "x" * 201}, "dataset"),
        ({"surprise": 1}, "surprise"),
        ({"trials": 0}, "trials"),
        ({"trials": 10**9}, "trials"),
        ({"trials": 10**40}, "trials"),
        ({"target": "nothing"}, "target"),
        ({"model": {"kind": "nobody_offers_this"}}, "model.kind"),
        ({"search": {"lambda": {"low": 1.0, "high": 0.1}}}, "search.lambda"),
        ({"search": {"lambda": {"low": -1.0, "high": 0.1}}}, "search.lambda.low"),
        ({"validation": {"kind": "folds", "folds": 1}}, "validation.folds"),
        ({"validation": {"kind": "folds", "folds": 100}, "test_fraction": 0.9}, "validation.folds"),
        ({"objective": "mse"}, "objective"),
        ({"sampler": "grid", "search": GRID_OF_A_RANGE}, "search.lambda"),
        ({"pruner": "hyperband"}, "pruner"),
    ],
)
def test_a_spec_that_cannot_be_run_is_refused_by_its_field(http, fields, field):
    answer = http.post("/v1/jobs", json={"dataset": "digits"} | fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert http.get("/v1/jobs").json()["jobs"] == []


def test_a_field_problem_gives_the_value_met_and_what_is_accepted(http):
    answer = http.post("/v1/jobs", json={"dataset": "digits", "search": {"lambda": -1}})
    assert answer.json() == {
        "type": "/problems/invalid-input",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "search.lambda: must be at least 0 and at most 1e+06; met -1.0",
        "errors": [
            {
                "field": "search.lambda",
                "value": -1.0,
                "message": "must be at least 0 and at most 1e+06; met -1.0",
            }
        ],
    }


def test_a_repeat_with_the_same_key_is_answered_with_the_first_job(http):
    spec = {"dataset": "digits"}
    first = http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": "k-1"})
    again = http.post("/v1/jobs", json=spec | {"trials": 200}, headers={"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": "k-2"})
    assert other.json()["id"] != first.json()["id"]


def test_the_same_key_with_another_spec_is_refused(http):
    headers = {"Idempotency-Key": "k"}
    http.post("/v1/jobs", json={"dataset": "digits"}, headers=headers)
    answer = http.post("/v1/jobs", json={"dataset": "wine"}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_concurrent_repeats_with_one_key_make_one_job(http):
    def post(_: int) -> httpx.Response:
        return http.post(
            "/v1/jobs", json={"dataset": "digits"}, headers={"Idempotency-Key": "race"}
        )

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(post, range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(http.get("/v1/jobs").json()["jobs"]) == 1


def test_pages_of_jobs_hold_each_job_once_newest_first(http):
    made = [submit(http, name=f"job {number}").id for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = JobPage.model_validate(http.get("/v1/jobs", params=params).json())
        seen += [job.id for job in page.jobs]
        cursor = page.next
    assert seen == made[::-1]
    assert cursor is None


def test_jobs_can_be_listed_by_state(http):
    ended, waiting = submit(http), submit(http)
    http.post(f"/v1/jobs/{ended.id}/cancel")
    for state, expected in (("cancelled", ended), ("queued", waiting)):
        jobs = http.get("/v1/jobs", params={"state": state}).json()["jobs"]
        assert [job["id"] for job in jobs] == [expected.id]


def test_a_job_shows_progress_and_its_best_trial(http, database):
    job = submit(http)
    size = 0
    while size < 4:
        size += finish_one_population(database)
    seen = Job.model_validate(http.get(f"/v1/jobs/{job.id}").json())
    assert seen.state == "running"
    assert (seen.progress.complete, seen.progress.failed) == (size - 1, 1)
    assert seen.progress.fraction == size / 8
    assert seen.best is not None
    assert (seen.best.number, seen.best.value, seen.best.nonzero_weights) == (0, 0.0, 3.0)


def test_trials_come_by_number_or_from_the_best_value_page_by_page(http, database):
    job = submit(http, objective="accuracy")
    size = 0
    while size < 5:
        size += finish_one_population(database)
    by_number = TrialPage.model_validate(http.get(f"/v1/jobs/{job.id}/trials").json())
    assert [trial.number for trial in by_number.trials] == list(range(size))
    assert by_number.trials[1].reason == "diverged in epoch 1"
    best_first: list[int] = []
    cursor: str | None = None
    while True:
        params = {"order": "value", "limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = http.get(f"/v1/jobs/{job.id}/trials", params=params).json()
        best_first += [trial["number"] for trial in page["trials"]]
        if (cursor := page["next"]) is None:
            break
    assert best_first == [*range(size - 1, 1, -1), 0, 1]  # accuracy: more is better, FAIL last
    failed = http.get(f"/v1/jobs/{job.id}/trials", params={"state": "fail"}).json()
    assert [trial["number"] for trial in failed["trials"]] == [1]


def test_a_trial_comes_with_its_curve(http, database):
    job = submit(http)
    finish_one_population(database)
    trial = TrialDetail.model_validate(http.get(f"/v1/jobs/{job.id}/trials/0").json())
    assert trial.curve == [2.0, 0.0]
    assert trial.params == {"penalty": "l1", "lambda": pytest.approx(0.5)}
    missing = http.get(f"/v1/jobs/{job.id}/trials/99")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)


def test_a_job_is_paused_resumed_and_cancelled(http):
    job = submit(http)
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        answer = http.post(f"/v1/jobs/{job.id}/{verb}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
        assert http.get(f"/v1/jobs/{job.id}").json() == answer.json()


def test_a_job_is_extended_and_shows_its_new_budget(http):
    job = submit(http, trials=8)
    for state in ("queued", "paused"):
        answer = http.post(f"/v1/jobs/{job.id}/extend", json={"trials": 100})
        assert (answer.status_code, answer.json()["state"]) == (200, state)
        assert http.get(f"/v1/jobs/{job.id}").json() == answer.json()
        http.post(f"/v1/jobs/{job.id}/pause")
    assert (answer.json()["spec"]["trials"], answer.json()["progress"]["trials"]) == (208, 208)


def test_the_idempotency_key_of_an_extended_job_still_gives_that_job(http):
    def post() -> httpx.Response:
        return http.post("/v1/jobs", json={"dataset": "digits"}, headers={"Idempotency-Key": "k"})

    job = Job.model_validate(post().json())
    extended = http.post(f"/v1/jobs/{job.id}/extend", json={"trials": 1})
    repeated = post()
    assert (repeated.status_code, repeated.json()) == (200, extended.json())


GRID = {"penalty": "l1", "lambda": [0.1, 0.2, 0.3], "learning_rate": [0.1, 0.2], "weight_decay": 0}


@pytest.mark.parametrize(
    ("fields", "more", "accepted"),
    [
        ({"trials": 10, "epochs": 30}, 999_991, "up to 999,990"),
        ({"trials": 10, "epochs": 1000}, 99_991, "up to 99,990"),
        ({"trials": 4, "sampler": "grid", "search": GRID}, 3, "up to 2"),
        ({"trials": 9, "sampler": "grid", "search": GRID}, 1, "none"),
    ],
)
def test_a_budget_that_no_job_may_have_is_refused(http, fields, more, accepted):
    job = submit(http, **fields)
    answer = http.post(f"/v1/jobs/{job.id}/extend", json={"trials": more})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("trials", more)
    assert error["message"].endswith(f"accepted: {accepted}")
    assert http.get(f"/v1/jobs/{job.id}").json()["progress"] == job.progress.model_dump()


@pytest.mark.parametrize("body", [{"trials": 0}, {"trials": "5"}, {"trials": 5, "epochs": 1}, {}])
def test_a_bad_extension_is_refused(http, body):
    job = submit(http)
    assert http.post(f"/v1/jobs/{job.id}/extend", json=body).status_code == 422


@pytest.mark.parametrize("verb", ["pause", "resume", "answer", "cancel", "extend"])
def test_an_ended_job_refuses_to_change_its_state(http, verb):
    job = submit(http)
    http.post(f"/v1/jobs/{job.id}/cancel")
    body = {"trials": 1} if verb == "extend" else None
    answer = http.post(f"/v1/jobs/{job.id}/{verb}", json=body)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"Can't {verb}" in answer.json()["detail"]


def test_a_deleted_job_is_gone_and_its_idempotency_key_makes_another(http, database):
    key = {"Idempotency-Key": "once"}
    job = Job.model_validate(http.post("/v1/jobs", json={"dataset": "digits"}, headers=key).json())
    refused = http.delete(f"/v1/jobs/{job.id}")
    assert (refused.status_code, "cancel it first" in refused.text) == (409, True)
    http.post(f"/v1/jobs/{job.id}/cancel")
    answer = http.delete(f"/v1/jobs/{job.id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.get(f"/v1/jobs/{job.id}").status_code == 404
    assert http.delete(f"/v1/jobs/{job.id}").status_code == 404
    assert http.get("/v1/jobs").json()["jobs"] == []
    again = http.post("/v1/jobs", json={"dataset": "wine"}, headers=key)
    assert again.status_code == 201

    def swept() -> bool:
        with database.reading() as transaction:
            return transaction.execute(sa.select(deleted_jobs)).first() is None

    wait_until(swept)
    with database.reading() as transaction:
        names = transaction.execute(sa.text("SELECT study_name FROM studies")).scalars().all()
    assert names == [again.json()["id"]]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("GET", "/trials"),
        ("GET", "/trials/0"),
        ("GET", "/model"),
        ("GET", "/path"),
        ("GET", "/features"),
        ("GET", "/shown"),
        ("DELETE", ""),
        ("POST", "/answer"),
        ("POST", "/cancel"),
        ("POST", "/pause"),
        ("POST", "/resume"),
    ],
)
@pytest.mark.parametrize("id", ["0198f2c1-0000-7000-8000-000000000000", "nothing", "%00", "a%ffb"])
def test_an_unknown_id_is_not_found(http, method, rest, id):
    answer = http.request(method, f"/v1/jobs/{id}{rest}")
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not Found"


def test_a_status_is_one_read_of_the_job_row_and_its_leases(http, served):
    job = submit(http)
    context = served.app.state.context
    with context.writers.database.transaction() as transaction:  # a job that nobody works on is
        transaction.execute(sa.text("UPDATE jobs SET state = 'running', running = 1"))  # told more
    statements: list[str] = []
    engine = context.database.engine

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    assert http.get(f"/v1/jobs/{job.id}").status_code == 200
    sa.event.remove(engine, "before_cursor_execute", note)
    reads = [re.findall(r"FROM (\w+)", text) for text in statements if "FROM " in text]
    (read,) = reads
    assert {*read} == {"leases", "workers", "jobs"}


def test_trials_of_a_stock_optuna_process_are_shown_as_they_are(http, database_url):
    job = submit(http)
    storage = RDBStorage(database_url)
    study = optuna.load_study(study_name=job.study, storage=storage)
    params = {"a": None, "b": True, "c": "x", "d": 3, "e": 0.5}
    attributes = {"nested": {"a": [1, None]}, "not a number": float("nan")}
    study.add_trial(
        optuna.trial.create_trial(
            params=params,
            distributions={
                name: CategoricalDistribution((value, "other")) for name, value in params.items()
            },
            value=0.5,
            user_attrs=attributes,
        )
    )
    storage.engine.dispose()
    [trial] = http.get(f"/v1/jobs/{job.id}/trials").json()["trials"]
    assert trial["params"] == params
    assert [type(value) for value in trial["params"].values()] == [
        type(value) for value in params.values()
    ]
    detail = http.get(f"/v1/jobs/{job.id}/trials/0")
    assert detail.status_code == 200
    assert detail.json()["attributes"] == {"nested": {"a": [1, None]}, "not a number": None}
    assert TrialDetail.model_validate(detail.json()).params == params
