"""Signing in with a key, by a page; out again; what the cookie may and what it may not."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from keyed import bearer, make_key
from waiting import wait_until

from ridgeway.database.clock import now
from ridgeway.database.tables import sessions
from ridgeway.keys.keys import prefix_of, revoke_key
from ridgeway.settings import Settings
from service.access import access as access_module
from service.access.sign_in import local_path

JOB = {"dataset": "wine"}


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: what PostgreSQL could make of it is tried where sessions are."""
    shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
    return f"sqlite:///{tmp_path / 'ridgeway.db'}"


@pytest.fixture
def service_settings(database_url, tmp_path) -> Settings:
    return Settings(data=tmp_path, database_url=database_url, require_keys=True)


@pytest.fixture
def own(served) -> dict[str, str]:
    """What a browser sends with a form of the service's own page."""
    return {"Origin": served.url}


def signed_in(http: httpx.Client, key: str, own: dict[str, str]) -> dict[str, str]:
    """The headers of a browser that has signed in."""
    answer = http.post("/sign-in", data={"key": key}, headers=own)
    assert answer.status_code == 303
    http.cookies.clear()
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_a_key_opens_a_session_whose_cookie_no_script_and_no_other_site_uses(http, database, own):
    key = make_key(database)
    form = {"key": f" {key}\n", "next": "/v1/jobs?limit=1"}
    answer = http.post("/sign-in", data=form, headers=own)
    assert (answer.status_code, answer.headers["location"]) == (303, "/v1/jobs?limit=1")
    name, *flags = answer.headers["set-cookie"].split("; ")
    assert name.startswith("ridgeway-session=")
    assert key[12:] not in name
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*flags}
    assert "Secure" not in flags
    https = http.post("/sign-in", data=form, headers={**own, "X-Forwarded-Proto": "https"})
    assert "Secure" in https.headers["set-cookie"].split("; ")
    with database.reading() as transaction:
        kept = str(transaction.execute(sa.select(sessions)).all())
    assert name.partition("=")[2] not in kept


def test_a_session_reads_and_changes_from_its_own_pages_alone(http, database, own):
    cookie = signed_in(http, make_key(database), own)
    assert http.get("/v1/jobs", headers=cookie).status_code == 200
    no_origin = http.post("/v1/jobs", json=JOB, headers=cookie)
    assert (no_origin.status_code, "Origin" in no_origin.text) == (403, True)
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        assert (
            http.post("/v1/jobs", json=JOB, headers={**cookie, "Origin": origin}).status_code == 403
        )
    for site in ("cross-site", "same-site", "none"):
        headers = {**cookie, "Sec-Fetch-Site": site}
        assert http.post("/v1/jobs", json=JOB, headers=headers).status_code == 403
    assert http.post("/v1/jobs", json=JOB, headers={**cookie, **own}).status_code == 201
    same = {**cookie, "Sec-Fetch-Site": "same-origin"}
    assert http.post("/v1/jobs", json=JOB, headers=same).status_code == 201


def test_the_session_has_the_scope_of_its_key(http, database, own):
    cookie = signed_in(http, make_key(database, "read"), own)
    assert http.post("/v1/jobs", json=JOB, headers={**cookie, **own}).status_code == 403
    assert http.get("/v1/audit", headers=cookie).status_code == 403


def test_no_other_page_can_sign_a_reader_in(http, database):
    form = {"key": make_key(database)}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = http.post("/sign-in", data=form, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_signing_out_ends_the_session_for_everybody(http, database, own):
    key = make_key(database)
    cookie, other = signed_in(http, key, own), signed_in(http, key, own)
    answer = http.post("/sign-out", headers={**cookie, **own})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert 'ridgeway-session=""' in answer.headers["set-cookie"]
    assert http.get("/v1/jobs", headers=cookie).status_code == 401
    assert http.get("/v1/jobs", headers=other).status_code == 200
    assert http.post("/sign-out", headers=own).status_code == 303
    assert http.post("/sign-out", headers={"Origin": "https://evil.example"}).status_code == 403
    admin = bearer(make_key(database, "admin"))
    told = [each["action"] for each in http.get("/v1/audit", headers=admin).json()["entries"]]
    assert told == ["POST /sign-out", "POST /sign-in", "POST /sign-in"]


def test_a_session_ends_by_its_time_and_with_its_key(http, database, own, monkeypatch):
    monkeypatch.setattr(access_module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(access_module, "SOONEST_SECONDS", 0.0)
    first, second = make_key(database), make_key(database)
    by_time, by_key = signed_in(http, first, own), signed_in(http, second, own)
    assert http.get("/v1/jobs", headers=by_key).status_code == 200
    with database.transaction() as transaction:
        revoke_key(transaction, str(prefix_of(second)))
        transaction.execute(sa.update(sessions).values(expires_at=now() - 1))
    for cookie in (by_time, by_key):
        wait_until(lambda held=cookie: http.get("/v1/jobs", headers=held).status_code == 401, 5)


def test_a_key_that_does_not_hold_is_told_on_the_page(http, own):
    answer = http.post("/sign-in", data={"key": "rw_nonsense", "next": "/docs"}, headers=own)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "does not hold" in answer.text
    assert "nonsense" not in answer.text
    assert 'value="/docs"' in answer.text
    for form in (b"", b"\xff\xfe", b"key", b"&" * 50, b"key=a&" * 20):
        headers = {**own, "Content-Type": "application/x-www-form-urlencoded"}
        assert http.post("/sign-in", content=form, headers=headers).status_code == 403


def test_the_page_runs_nothing_and_stands_in_no_frame(http):
    answer = http.get("/sign-in", params={"next": '/"><script>alert(1)</script>'})
    assert "<script" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    (style,) = re.findall(r'rel="stylesheet" href="([^"]+)"', answer.text)
    assert http.get(style).headers["content-type"].startswith("text/css")
    assert version("ridgeway") not in answer.text  # which is nothing for strangers


def test_keys_can_not_be_tried_on_the_page_without_end(http, own, monkeypatch):
    monkeypatch.setattr(access_module, "WRONG_PER_MINUTE", 1)
    monkeypatch.setattr(access_module, "SOONEST_SECONDS", 0.0)
    wrong, again = (http.post("/sign-in", data={"key": "rw_a"}, headers=own) for _ in range(2))
    assert (wrong.status_code, again.status_code) == (403, 429)
    assert f"Try again in {again.headers['retry-after']} s." in again.text
    assert again.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/jobs?state=queued&limit=2", "/a%20b#x"])
def test_a_path_of_the_service_is_where_one_comes_to(path):
    assert local_path(path) == path


ELSEWHERE = [
    "",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil",
    "https://evil.example",
    "evil.example",
    "javascript:alert(1)",
    "/a\\..\\b",
    " //evil",
    "/\u2044evil",
    "",
]


@pytest.mark.parametrize("path", [*ELSEWHERE, "/\t/evil", "/\n/evil", "/a\r\nb: c", "/x" * 2000])
def test_what_could_lead_elsewhere_leads_home(path):
    assert local_path(path) == "/"
