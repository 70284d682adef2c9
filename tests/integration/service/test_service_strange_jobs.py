"""Jobs that another release wrote, over HTTP: shown as what they are, and no page fails for one."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from strange import of_tomorrow, rewrite, stored

from ridgeway.database.tables import datasets
from ridgeway.views import Job, JobPage, StoredSpec


def submit(http, **fields) -> str:
    answer = http.post("/v1/jobs", json={"dataset": "digits", "trials": 8} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def test_a_spec_of_tomorrow_is_shown_as_it_is_stored_with_why(http, database):
    job_id = submit(http, name="of tomorrow")
    spec = of_tomorrow(database, job_id)
    answer = http.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200
    assert answer.json()["spec"] == spec
    job = Job.model_validate(answer.json())
    assert isinstance(job.spec, StoredSpec)
    assert job.unreadable == "This release can't read the job's spec: tomorrow: unknown field."
    assert (job.name, job.state, job.progress.trials) == ("of tomorrow", "queued", 8)


@pytest.mark.parametrize("spec", [None, "tomorrow", 3, [], {}, {"dataset": "digits", "seed": None}])
def test_a_page_never_fails_for_one_row(http, database, spec):
    good, bad = submit(http), submit(http)
    rewrite(database, bad, spec=sa.JSON.NULL if spec is None else spec)
    page = JobPage.model_validate(http.get("/v1/jobs").json())
    assert [job.id for job in page.jobs] == [bad, good]
    assert [job.unreadable is None for job in page.jobs] == [False, True]
    assert http.get(f"/v1/jobs/{bad}").json()["spec"] == spec


def test_text_that_is_no_json_at_all_is_shown_as_text(http, database):
    if not database.embedded:
        pytest.skip("PostgreSQL keeps nothing but JSON in such a column")
    job_id = submit(http)
    with database.transaction() as transaction:
        transaction.execute(sa.text("UPDATE jobs SET spec = '{torn', plan = 'x', best = ''"))
    job = Job.model_validate(http.get(f"/v1/jobs/{job_id}").json())
    assert job.spec == StoredSpec("{torn")


def test_a_long_reason_is_cut(http, database):
    job_id = submit(http)
    rewrite(database, job_id, spec={**stored(database, job_id), "x" * 100_000: 1})
    reason = http.get(f"/v1/jobs/{job_id}").json()["unreadable"]
    assert len(reason) < 400


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("plan", {"backend": "dense"}, "the job's plan: lambda: is required"),
        ("best", {"trial": {"number": 3}}, "the job's best trial: number: is required"),
        ("recommended", {"roles": []}, "the job's answer: simplest: is required"),
    ],
)
def test_what_a_row_keeps_beside_the_spec_may_be_strange_too(http, database, column, value, said):
    job_id = submit(http)
    rewrite(database, job_id, **{column: value})
    job = Job.model_validate(http.get(f"/v1/jobs/{job_id}").json())
    assert said in (job.unreadable or "")
    assert (job.best, job.recommended, job.lambda_range) == (None, None, None)
    assert not isinstance(job.spec, StoredSpec)


def test_a_state_of_tomorrow_is_shown_as_it_is_stored_with_why(http, database):
    good, bad = submit(http), submit(http)
    rewrite(database, bad, state="archived")
    page = JobPage.model_validate(http.get("/v1/jobs").json())
    assert [(job.id, job.state) for job in page.jobs] == [(bad, "archived"), (good, "queued")]
    job = Job.model_validate(http.get(f"/v1/jobs/{bad}").json())
    assert (job.state, job.ended) == ("archived", False)
    assert job.unreadable == "This release does not know the job's state 'archived'."
    assert http.get(f"/v1/jobs/{bad}/trials").status_code == 200
    for answer in (http.post(f"/v1/jobs/{bad}/cancel"), http.delete(f"/v1/jobs/{bad}")):
        assert answer.status_code == 409
        assert "a job that is archived" in answer.json()["detail"]


def test_a_strange_job_is_paused_resumed_and_cancelled(http, database):
    job_id = submit(http)
    of_tomorrow(database, job_id)
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        answer = http.post(f"/v1/jobs/{job_id}/{verb}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)


def test_what_would_need_the_spec_is_refused_with_a_sentence(http, database):
    job_id = submit(http)
    of_tomorrow(database, job_id)
    extended = http.post(f"/v1/jobs/{job_id}/extend", json={"trials": 4})
    front = http.get(f"/v1/jobs/{job_id}/front")
    for answer in (extended, front):
        assert answer.status_code == 409
        assert "can't read the job's spec: tomorrow: unknown field" in answer.json()["detail"]
    assert http.get(f"/v1/jobs/{job_id}/trials").status_code == 200
    assert http.get(f"/v1/jobs/{job_id}/trials.csv").status_code == 200


@pytest.mark.parametrize("source", ["job", "study"])
def test_no_warm_start_learns_from_a_strange_job(http, database, source):
    job_id = submit(http)
    of_tomorrow(database, job_id)
    body = {"dataset": "digits", "warm_start": {source: job_id}}
    answer = http.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    [bad] = answer.json()["errors"]
    assert bad["field"] == f"warm_start.{source}"
    assert "can't read the job's spec" in bad["message"]


def test_a_data_set_with_another_releases_profile_is_shown_without_its_columns(http, database):
    brought = http.post("/v1/datasets?name=mine", content=b"a,b\n1,2\n3,4\n5,7\n")
    assert brought.status_code == 201
    with database.transaction() as transaction:
        transaction.execute(sa.update(datasets).values(profile={"table": "wide"}))
    assert "mine" in [each["name"] for each in http.get("/v1/datasets").json()["datasets"]]
    shown = http.get("/v1/datasets/mine").json()
    assert (shown["columns"], shown["rows"], shown["target"]) == (None, 3, "b")
    assert "can't read the profile of data set 'mine': rows: is required" in shown["unreadable"]
    again = http.post("/v1/datasets?name=mine", content=b"a,b\n1,2\n3,4\n5,7\n")
    assert again.status_code == 201
    refused = http.post("/v1/jobs", json={"dataset": "mine"})
    assert refused.status_code == 422
    assert "can't read the profile" in refused.json()["errors"][0]["message"]


def test_the_openapi_document_says_what_a_spec_may_be(http):
    schemas = http.get("/openapi.json").json()["components"]["schemas"]
    spec = schemas["Job"]["properties"]["spec"]
    assert [each["$ref"].rpartition("/")[2] for each in spec["anyOf"]] == ["JobSpec", "StoredSpec"]
    assert "another release" in schemas["StoredSpec"]["description"]
