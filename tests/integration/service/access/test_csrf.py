"""No page of another origin changes anything, by any route, with or without its reader's cookie."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from keyed import filled, make_key, routes
from serving import serve

from ridgeway.database.tables import audit, datasets, jobs
from ridgeway.settings import Settings
from service.origins import READING

ELSEWHERE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
)
# What no program sends, but a browser with a cookie might.
UNTOLD = ({}, *({"Sec-Fetch-Site": site} for site in ("cross-site", "same-site", "none", "")))
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "text/plain")
CSV = b"a,label\n" + b"1,0\n2,1\n" * 20


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: nothing gets as far as the database."""
    shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
    return f"sqlite:///{tmp_path / 'ridgeway.db'}"


@pytest.fixture
def service_settings(database_url, tmp_path) -> Settings:
    return Settings(data=tmp_path, database_url=database_url, require_keys=True)


def test_every_change_by_cookie_must_come_from_a_page_of_the_service(served, http, database):
    own = {"Origin": served.url}
    signed_in = http.post("/sign-in", data={"key": make_key(database, "admin")}, headers=own)
    http.cookies.clear()
    cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
    as_reader = {**cookie, **own}
    job = http.post("/v1/jobs", json={"dataset": "wine"}, headers=as_reader).json()["id"]
    data = http.post("/v1/datasets?name=mine", content=CSV, headers=as_reader).json()["id"]
    changes = sorted(each for each in {*routes(served.app)} if each[0] not in READING)
    assert len(changes) >= 14
    for method, path in changes:
        address = filled(path, id=job if "/jobs/" in path else data)
        for told in (*ELSEWHERE, *UNTOLD):
            for kind in FORMS if told in ELSEWHERE[:1] else FORMS[:1]:
                headers = {**cookie, **told, "Content-Type": kind}
                answer = http.request(method, address, headers=headers, content=b"a=b")
                assert answer.status_code == 403, (method, path, told, answer.text)
                assert "set-cookie" not in answer.headers
    with database.reading() as transaction:
        states = transaction.execute(sa.select(jobs.c.id, jobs.c.state)).all()
        assert [tuple(row) for row in states] == [(job, "queued")]
        assert transaction.execute(sa.select(datasets.c.id)).scalars().all() == [data]
        done = sa.select(audit.c.action).where(audit.c.outcome == "done")
        assert len(transaction.execute(done).all()) == 3  # sign-in, job, data set
    assert http.get("/v1/jobs", headers=cookie).status_code == 200  # still signed in


def test_an_open_service_is_nobody_elses_to_change_either(database_url, tmp_path):
    settings = Settings(data=tmp_path, database_url=database_url)
    with serve(settings) as served, httpx.Client(base_url=served.url, timeout=60) as http:
        changes = sorted(each for each in {*routes(served.app)} if each[0] not in READING)
        for method, path in changes:
            for told in ELSEWHERE:
                answer = http.request(method, filled(path), headers=told, content=b"a=b")
                assert answer.status_code == 403, (method, path, told)


def test_no_answer_lets_another_origin_read_it(served, http):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method, path in sorted({*routes(served.app)} | {("OPTIONS", "/v1/jobs")}):
        if method in ("GET", "OPTIONS"):
            answer = http.request(method, filled(path), headers=asked)
            allowed = [name for name in answer.headers if name.startswith("access-control-")]
            assert allowed == [], (method, path)
