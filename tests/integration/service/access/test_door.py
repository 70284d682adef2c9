"""Everything stands behind one door: every route, for every scope, by key and by cookie."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from keyed import bearer, filled, make_key, routes
from serving import Served, serve
from talking import connected, read
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.database.tables import api_keys, audit, datasets, jobs
from ridgeway.keys.keys import prefix_of, revoke_key
from ridgeway.settings import Settings
from service import streams
from service.access import access as access_module
from service.access.door import is_open
from service.pages.assets import asset_url, assets

READING = {"GET", "HEAD", "OPTIONS"}
ADMINS_ONLY = {("GET", "/v1/audit")}
OPEN = {"/healthz", "/readyz", "/sign-in", "/sign-out", "/assets/{digest}/{name}"}


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: what PostgreSQL could make of it is tried where keys and owners are."""
    shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
    return f"sqlite:///{tmp_path / 'ridgeway.db'}"


@pytest.fixture
def service_settings(database_url, tmp_path) -> Settings:
    return Settings(data=tmp_path, database_url=database_url, require_keys=True)


def test_every_route_is_closed_without_a_key_and_to_scopes_that_are_too_small(
    served: Served, http: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access_module, "WRONG_PER_MINUTE", 10_000)
    monkeypatch.setattr(access_module, "SOONEST_SECONDS", 0.0)
    every = sorted({*routes(served.app)})
    assert len(every) > 40
    assert ("GET", "/docs") in every
    assert ("POST", "/v1/jobs/{id}/extend") in every
    closed = [(method, path) for method, path in every if not is_open(path)]
    assert {path for _, path in every} - {path for _, path in closed} == OPEN
    read, submit = bearer(make_key(database, "read")), bearer(make_key(database, "submit"))
    wrong = bearer("rw_00000000_" + "A" * 43)
    for method, path in closed:
        for headers in (
            {},
            wrong,
            {"Cookie": "ridgeway-session=abc"},
            {"Authorization": "Basic x"},
        ):
            answer = http.request(method, filled(path), headers=headers)
            assert answer.status_code == 401, (method, path, headers)
            assert answer.headers["www-authenticate"].startswith("Bearer")
        if method not in READING:
            answer = http.request(method, filled(path), headers=read)
            assert answer.status_code == 403, (method, path)
            assert "scope submit" in answer.json()["detail"]
    for method, path in ADMINS_ONLY:
        answer = http.request(method, path, headers=submit)
        assert (answer.status_code, "scope admin" in answer.text) == (403, True)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND", "OPTIONS"])
def test_what_no_route_has_is_closed_too(http, method):
    for path in ("/nope", "/metrics", "//healthz", "/healthz/", "/healthz%2f..", "/sign-in/x"):
        assert http.request(method, path).status_code == 401, path
    for path in ("/healthz", "/sign-in"):
        assert http.get(path).status_code == 200


def test_before_the_door_are_the_files_of_pages_and_no_others(http):
    for name in assets().files:
        assert http.get(asset_url(name)).status_code == 200
    for path in ("/assets", "/assets.css", "/Assets/x/ridgeway.css"):
        assert http.get(path).status_code == 401, path
    # Sent as they stand: a client would make /v1/jobs of the first.
    for path in ("/assets/../v1/jobs", "/assets/..", "/assets%2f..%2fv1/jobs", "/assets/"):
        with connected(str(http.base_url)) as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: {http.base_url.netloc.decode()}\r\n"
            connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
            assert read(connection).startswith(b"HTTP/1.1 404"), path
    answer = http.post(asset_url("ridgeway.css"), content=b"x")
    assert answer.status_code == 405


def test_a_browser_is_sent_to_the_page_where_one_signs_in(http):
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = http.get("/v1/jobs?state=queued&limit=2", headers=html)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/v1/jobs%3Fstate%3Dqueued%26limit%3D2"
    assert http.post("/v1/jobs", headers=html).status_code == 401
    assert http.get("/", headers={**html, **bearer("rw_x")}).status_code == 401


def test_only_one_key_in_one_header_counts(http, database):
    key = make_key(database, "read")
    assert http.get("/v1/jobs", headers={"Authorization": f"bearer {key}"}).status_code == 200
    two = [("Authorization", f"Bearer {key}"), ("Authorization", f"Bearer {key}")]
    assert http.get("/v1/jobs", headers=two).status_code == 401
    for strange in (
        f"Bearer {key}x",
        key,
        f"Basic {key}",
        "Bearer",
        "Bearer \xff",
    ):
        headers = {"Authorization": strange.encode("latin-1")}
        assert http.get("/v1/jobs", headers=headers).status_code == 401, strange
    assert http.get(f"/v1/jobs?key={key}&access_token={key}").status_code == 401


def test_a_new_key_holds_at_once_and_a_revoked_one_soon_no_more(http, database):
    first, second = make_key(database, "read"), make_key(database, "read")
    assert http.get("/v1/jobs", headers=bearer(first)).status_code == 200
    assert http.get("/v1/jobs", headers=bearer(second)).status_code == 200
    with database.transaction() as transaction:
        revoke_key(transaction, str(prefix_of(first)))
    ended = lambda: http.get("/v1/jobs", headers=bearer(first)).status_code == 401  # noqa: E731
    wait_until(ended, access_module.FRESH_SECONDS + 3)
    assert "revoked" in http.get("/v1/jobs", headers=bearer(first)).json()["detail"]
    assert http.get("/v1/jobs", headers=bearer(second)).status_code == 200


def test_a_stream_of_events_ends_with_its_key(http, database, monkeypatch):
    monkeypatch.setattr(access_module, "FRESH_SECONDS", 0.1)
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(streams, "PING_SECONDS", 0.2)
    key = make_key(database)
    job = http.post("/v1/jobs", json={"dataset": "wine"}, headers=bearer(key)).json()
    with http.stream("GET", f"/v1/jobs/{job['id']}/events", headers=bearer(key)) as response:
        pieces = response.iter_text()
        assert next(pieces)
        with database.transaction() as transaction:
            revoke_key(transaction, str(prefix_of(key)))
        for pings, _ in enumerate(pieces):
            assert pings < 100  # 20 s
    assert http.get("/v1/jobs", headers=bearer(key)).status_code == 401


def test_looking_at_a_job_asks_the_database_for_no_key(served, http, database, monkeypatch):
    monkeypatch.setattr(access_module, "FRESH_SECONDS", 600.0)
    headers = bearer(make_key(database, "submit"))
    job = http.post("/v1/jobs", json={"dataset": "digits"}, headers=headers).json()
    assert http.get(f"/v1/jobs/{job['id']}", headers=headers).status_code == 200
    asked: list[str] = []
    engine = served.app.state.context.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for _ in range(5):
        assert http.get(f"/v1/jobs/{job['id']}", headers=headers).status_code == 200
    assert not [each for each in asked if "api_keys" in each or "sessions" in each]


def test_too_many_requests_are_a_429_that_says_when_to_come_again(http, database):
    quick, other = bearer(make_key(database, requests_per_minute=3)), bearer(make_key(database))
    assert [http.get("/v1/jobs", headers=quick).status_code for _ in range(4)] == [200] * 3 + [429]
    refused = http.get("/v1/jobs", headers=quick)
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "3 times a minute" in refused.json()["detail"]
    assert http.get(asset_url("ridgeway.css"), headers=quick).status_code == 200
    assert http.get("/v1/jobs", headers=other).status_code == 200


def test_keys_that_do_not_hold_can_not_be_tried_without_end(http, database):
    key = make_key(database)
    tried = [http.get("/v1/jobs", headers=bearer(f"rw_{i}")).status_code for i in range(62)]
    assert tried == [401] * 60 + [429] * 2
    assert http.get("/v1/jobs", headers=bearer(key)).status_code == 200


def test_quotas_are_403_problems(http, database):
    headers = bearer(make_key(database, open_jobs=1, bytes=100))
    assert http.post("/v1/jobs", json={"dataset": "wine"}, headers=headers).status_code == 201
    full = http.post("/v1/jobs", json={"dataset": "wine"}, headers=headers)
    assert (full.status_code, full.headers["content-type"]) == (403, "application/problem+json")
    csv = b"a,label\n" + b"1,0\n2,1\n" * 20
    large = http.post("/v1/datasets?name=large", content=csv, headers=headers)
    assert (large.status_code, "100 bytes" in large.text) == (403, True)
    assert http.post("/v1/datasets?name=small", content=csv[:40], headers=headers).is_success
    another = {"content": csv[:80], "headers": headers}
    assert http.post("/v1/datasets?name=other", **another).status_code == 403
    # Deleted, it makes room, although an ended job names it yet.
    with database.transaction() as transaction:
        small = sa.select(datasets.c.id).scalar_subquery()
        transaction.execute(sa.update(jobs).values(state="cancelled", dataset_id=small))
    assert http.delete("/v1/datasets/small", headers=headers).status_code == 204
    with database.reading() as transaction:
        assert transaction.execute(sa.select(datasets.c.deleted_at)).scalar_one() is not None
    assert http.post("/v1/datasets?name=other", **another).is_success


def test_who_changed_what_is_in_the_audit_log_and_no_key_is_anywhere(http, database, caplog):
    caplog.set_level(logging.DEBUG)
    admin, reader = make_key(database, "admin"), make_key(database, "read")
    job = http.post("/v1/jobs", json={"dataset": "wine"}, headers=bearer(admin)).json()
    csv = b"a,label\n" + b"1,0\n2,1\n" * 20
    data = http.post("/v1/datasets?name=d", content=csv, headers=bearer(admin)).json()
    http.patch(f"/v1/datasets/{data['id']}", json={"name": "e"}, headers=bearer(admin))
    http.post(f"/v1/jobs/{job['id']}/cancel", headers=bearer(admin))
    http.post(f"/v1/jobs/{job['id']}/resume", headers=bearer(admin))
    http.post("/v1/jobs", json={"dataset": "wine"}, headers=bearer(reader))
    http.get("/v1/jobs", headers=bearer(admin[:-1]))

    def told() -> list[tuple[str, ...]]:
        page = http.get("/v1/audit", headers=bearer(admin)).json()
        rows = [
            (each["actor"], each["action"], each["object"], each["outcome"])
            for each in page["entries"]
        ]
        return sorted(rows, key=str)

    root, low = prefix_of(admin), prefix_of(reader)
    wanted = [
        (root, "POST /v1/jobs", job["id"], "done"),
        (root, "POST /v1/datasets", data["id"], "done"),
        (root, "PATCH /v1/datasets/{id}", data["id"], "done"),
        (root, "POST /v1/jobs/{id}/cancel", job["id"], "done"),
        (root, "POST /v1/jobs/{id}/resume", job["id"], "409"),
        (low, "POST /v1/jobs", None, "403"),
    ]
    wait_until(lambda: told() == sorted(wanted, key=str), 10)
    with database.reading() as transaction:
        rows = [transaction.execute(sa.select(table)).all() for table in (audit, api_keys)]
    for key in (admin, reader):
        assert key[12:] not in caplog.text
        assert key[12:] not in str(rows)
        assert key[12:] not in http.get("/v1/audit", headers=bearer(admin)).text


def test_refusals_do_not_fill_the_audit_log(http, database, monkeypatch):
    monkeypatch.setattr(access_module, "REFUSALS_PER_MINUTE", 3)
    admin, reader = make_key(database, "admin"), make_key(database, "read")
    other = make_key(database, "read")
    for key in (*[reader] * 8, other):
        assert http.delete("/v1/datasets/x", headers=bearer(key)).status_code == 403

    def told() -> list[tuple[str, str]]:
        page = http.get("/v1/audit", headers=bearer(admin)).json()
        return sorted((each["actor"], each["action"]) for each in page["entries"])

    wanted = [(prefix_of(reader), "DELETE /v1/datasets/x")] * 3
    wanted += [(prefix_of(reader), "more than 3 refusals a minute")]
    wanted += [(prefix_of(other), "DELETE /v1/datasets/x")]
    wait_until(lambda: told() == sorted(wanted), 10)


def test_a_change_that_fails_leaves_no_line_that_says_it_was_done(http, database):
    headers = bearer(make_key(database, "admin"))
    spec = {"dataset": "nope"}
    assert http.post("/v1/jobs", json=spec, headers=headers).status_code == 422
    assert http.get("/v1/audit", headers=headers).json()["entries"] == []
    for since in ("2000-01-01T00:00:00Z", "0001-01-01T00:00:00.1%2B14:00"):
        assert http.get(f"/v1/audit?since={since}", headers=headers).status_code == 200
    for strange in ("yesterday", "0.5", "2000-01-01", "2000-13-01T00:00:00Z", ""):
        assert http.get(f"/v1/audit?since={strange}", headers=headers).status_code == 422


def test_commands_on_pages_show_the_key(http, database):
    headers = bearer(make_key(database, "read"))
    option = "-H &#34;Authorization: Bearer $RIDGEWAY_API_KEY&#34;"
    assert option in http.get("/docs", headers=headers).text
    assert "export RIDGEWAY_API_KEY=" in http.get("/", headers=headers).text


def test_an_answer_to_a_key_stays_out_of_shared_caches(http, database):
    headers = bearer(make_key(database, "read"))
    for path in ("/v1/jobs", "/openapi.json", "/nope"):
        assert "private" in http.get(path, headers=headers).headers["cache-control"]


def test_an_open_service_asks_for_nothing_and_looks_at_no_key(database_url, tmp_path):
    settings = Settings(data=tmp_path, database_url=database_url)
    with serve(settings) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        wrong = {"Authorization": "Bearer nonsense"}
        assert client.post("/v1/jobs", json={"dataset": "wine"}, headers=wrong).status_code == 201
        [entry] = client.get("/v1/audit").json()["entries"]
        assert (entry["actor"], entry["action"]) == ("local", "POST /v1/jobs")
        assert "cache-control" not in client.get("/v1/jobs").headers
        assert client.get("/sign-in?next=/docs").headers["location"] == "/docs"
        assert "RIDGEWAY_API_KEY" not in client.get("/docs").text


def test_the_document_says_what_needs_a_key(served: Served):
    app: FastAPI = served.app
    document = app.openapi()
    assert document["security"] == [{"key": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert {"401", "403", "429"} <= document["paths"]["/v1/jobs"]["get"]["responses"].keys()
