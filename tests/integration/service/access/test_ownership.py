"""Jobs, data sets and studies are their key's own: to others they do not exist."""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from keyed import bearer, filled, make_key, routes
from serving import Served, serve

from ridgeway.database.engine import Database
from ridgeway.settings import Settings

CSV = b"a,label\n" + b"1,0\n2,1\n" * 20


@pytest.fixture
def service_settings(database_url, tmp_path) -> Settings:
    return Settings(data=tmp_path, database_url=database_url, require_keys=True)


def test_every_route_of_anothers_job_or_data_set_is_a_404(
    served: Served, http: httpx.Client, database: Database
):
    ann, bob = bearer(make_key(database)), bearer(make_key(database))
    admin = bearer(make_key(database, "admin"))
    job = http.post("/v1/jobs", json={"dataset": "wine"}, headers=ann).json()["id"]
    data = http.post("/v1/datasets?name=anns", content=CSV, headers=ann).json()["id"]
    every = sorted({*routes(served.app)})
    of_jobs = [each for each in every if "/jobs/{id" in each[1]]
    of_datasets = [each for each in every if "/datasets/{id" in each[1]]
    assert len(of_jobs) >= 18
    assert of_datasets
    nowhere = "0198f2c1-0000-7000-8000-000000000000"
    for method, path in of_jobs:
        answer = http.request(method, filled(path, id=job, name="path"), headers=bob)
        assert (answer.status_code, job in answer.text) == (404, True), (method, path)
        absent = http.request(method, filled(path, id=nowhere, name="path"), headers=bob)
        assert absent.text == answer.text.replace(job, nowhere)
    for method, path in of_datasets:
        for named in (data, "anns"):
            answer = http.request(method, filled(path, id=named), headers=bob)
            assert (answer.status_code, "There is no data set" in answer.text) == (404, True)
    for who in (ann, admin):
        for path in (f"/v1/jobs/{job}", f"/v1/datasets/{data}", "/v1/datasets/anns"):
            assert http.get(path, headers=who).status_code == 200
    assert http.post(f"/v1/jobs/{job}/cancel", headers=admin).status_code == 200
    assert http.get("/v1/jobs/%00", headers=bob).status_code == 404
    assert http.get("/v1/datasets/a%00b", headers=bob).status_code == 404


def test_lists_and_errors_name_what_is_ones_own(http, database):
    ann, bob = bearer(make_key(database)), bearer(make_key(database))
    admin = bearer(make_key(database, "admin"))
    job = http.post("/v1/jobs", json={"dataset": "wine"}, headers=ann).json()["id"]
    assert http.post("/v1/datasets?name=anns", content=CSV, headers=ann).status_code == 201

    def listed(who: dict[str, str], path: str, kind: str) -> list[str]:
        return [each["id"] for each in http.get(path, headers=who).json()[kind] if each["id"]]

    for who, there in ((ann, 1), (admin, 1), (bob, 0)):
        assert len(listed(who, "/v1/jobs", "jobs")) == there
        assert len(listed(who, f"/v1/jobs?id={job[:8]}", "jobs")) == there
        assert len(listed(who, "/v1/datasets?limit=500", "datasets")) == there
    for spec in ({"dataset": "anns"}, {"dataset": "ann"}):
        answer = http.post("/v1/jobs", json=spec, headers=bob)
        assert answer.status_code == 422
        assert "anns," not in answer.json()["detail"].partition("known:")[2]
    lessons = {"dataset": "wine", "warm_start": {"job": job}}
    refused = http.post("/v1/jobs", json=lessons, headers=bob)
    assert (refused.status_code, "is no job of this service" in refused.text) == (422, True)
    lessons = {"dataset": "wine", "warm_start": {"study": job}}
    refused = http.post("/v1/jobs", json=lessons, headers=bob)
    assert (refused.status_code, "is no study of this service" in refused.text) == (422, True)


def test_a_name_is_taken_once_for_all_and_says_no_more(http, database):
    ann, bob = bearer(make_key(database)), bearer(make_key(database))
    assert http.post("/v1/datasets?name=train", content=CSV, headers=ann).status_code == 201
    assert http.post("/v1/datasets?name=train", content=CSV, headers=ann).status_code == 201
    for content in (CSV, CSV + b"3,1\n"):
        answer = http.post("/v1/datasets?name=train", content=content, headers=bob)
        assert answer.status_code == 409
        assert answer.json()["detail"] == (
            "The name 'train' is taken by another's data set; choose another name."
        )


def test_an_idempotency_key_is_its_senders_own(http, database):
    ann, bob = bearer(make_key(database)), bearer(make_key(database))
    again = {"Idempotency-Key": "k" * 200}
    made = [
        http.post("/v1/jobs", json={"dataset": "wine"}, headers={**who, **again})
        for who in (ann, bob, ann)
    ]
    assert [each.status_code for each in made] == [201, 201, 200]
    assert made[0].json()["id"] == made[2].json()["id"] != made[1].json()["id"]


def test_what_was_made_without_keys_is_seen_by_admin_alone(database, database_url, tmp_path):
    given = {"data": tmp_path, "database_url": database_url}
    with serve(Settings(**given)) as open_, httpx.Client(base_url=open_.url) as client:
        job = client.post("/v1/jobs", json={"dataset": "wine"}).json()["id"]
    submit, admin = bearer(make_key(database)), bearer(make_key(database, "admin"))
    settings = Settings(**given, require_keys=True)
    with serve(settings) as closed, httpx.Client(base_url=closed.url) as client:
        assert client.get(f"/v1/jobs/{job}", headers=submit).status_code == 404
        assert client.get("/v1/jobs", headers=submit).json()["jobs"] == []
        assert client.get(f"/v1/jobs/{job}", headers=admin).status_code == 200


def climbing(number: str, own: str) -> list[str]:
    """Paths that begin as what everybody, or the own key, sees, and lead to a study."""
    begun = ("/static/..", "/dashboard/..", "/static/x/../..", f"/api/studies/{own}/../../..")
    there = ("/api/studies", f"/api/studies/{number}", f"/csv/{number}")
    paths = [start + path for start in begun for path in there]
    paths += [f"/api/studies/{own}/../{number}", f"/csv/{own}/../{number}", "/api/./studies"]
    escapes = ((".", "%2e"), (".", "%2E"), (".", "%252e"), ("../", "..%2f"), ("../", "..%252f"))
    return [*paths, *(path.replace(*escape) for path in paths for escape in escapes)]


def as_it_is(url: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """The status and the body of a GET of exactly this path."""
    connection = http.client.HTTPConnection(httpx.URL(url).host, httpx.URL(url).port, timeout=90)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_dashboard_shows_a_key_the_studies_of_its_jobs(sqlite_template: Path, tmp_path: Path):
    file = tmp_path / "ridgeway.db"
    file.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{file}")
    ann, bob = bearer(make_key(database)), bearer(make_key(database, "read"))
    cid, admin = bearer(make_key(database)), bearer(make_key(database, "admin"))
    settings = Settings(data=tmp_path, require_keys=True)
    with serve(settings) as running, httpx.Client(base_url=running.url, timeout=90) as client:
        job = client.post("/v1/jobs", json={"dataset": "wine"}, headers=ann).json()
        number = job["links"]["dashboard"].rpartition("/")[2]

        def studies(who: dict[str, str]) -> int:
            return len(client.get("/api/studies", headers=who).json()["study_summaries"])

        assert [studies(ann), studies(admin), studies(bob)] == [1, 1, 0]
        for path in (f"/dashboard/studies/{number}", f"/api/studies/{number}", f"/csv/{number}"):
            statuses = [client.get(path, headers=who).status_code for who in (ann, admin, bob)]
            assert statuses == [200, 200, 404], path
        for path in ("/api/compare-studies", "/api/studies/", "/csv/", "/dashboard/studies/x"):
            assert client.get(path, headers=bob).status_code == 404
        own = client.post("/v1/jobs", json={"dataset": "wine"}, headers=cid).json()
        own_number = own["links"]["dashboard"].rpartition("/")[2]
        for path in climbing(number, own_number):
            # By hand: a client would take the dots away.
            status, body = as_it_is(running.url, path, cid)
            assert (status, b"study" in body) == (404, False), path
        long = "/static/" + '"' * 30_000  # as it is escaped for the dashboard, longer than a URL
        assert as_it_is(running.url, long, cid)[0] == 404
        assert client.get(f"/api/studies/{own_number}", headers=cid).status_code == 200
        assert client.get("/dashboard", headers=bob).status_code == 200
        assert client.head("/api/studies", headers=bob).status_code == 200
    database.close()
