"""Whatever a client sends and whatever fails: a clear problem, never a traceback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import serve
from waiting import wait_until

from ridgeway.jobs import lookups
from ridgeway.settings import Settings
from ridgeway.spec.dimensions import Range
from ridgeway.spec.spec import JobSpec, Search
from service.routes import jobs as job_routes

JSON = {"content-type": "application/json"}


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path) -> Settings:
    """A smaller limit makes quicker tests."""
    url: Any = database_url
    return Settings(data=tmp_path, database_url=url, max_body_bytes=200_000)


def assert_problem(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert set(body) <= {"type", "title", "status", "detail", "errors"}
    assert body["title"]
    assert body["detail"]
    return body


def test_an_unknown_address_is_a_problem(http):
    assert_problem(http.get("/v1/nothing"), 404)
    assert_problem(http.get("/v1/jobs/"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/jobs", "GET, POST"),
        ("PUT", "/v1/datasets", "GET, POST"),
        ("GET", "/v1/jobs/1/cancel", "POST"),
        ("POST", "/healthz", "GET"),
        ("POST", "/api/studies", "GET, HEAD"),
        ("DELETE", "/api/studies/1", "GET, HEAD"),
        ("POST", "/dashboard", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed_names_those_that_are(http, method, path, allowed):
    answer = http.request(method, path)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b'{"dataset": "digits",}', 400),
        (b"\xff\xfe\x00\x01", 400),
        (b'{"dataset": "digits", "seed": ' + b"9" * 5000 + b"}", 400),
        (b'{"dataset": "digits", "seed": ' + b"9" * 4000 + b"}", 422),
        (b'{"dataset": "digits", "test_fraction": NaN}', 422),
        (b'{"dataset": "digits", "timeout_seconds": 1e999}', 422),
        (b'{"dataset": "\\u0000"}', 422),
        (b'{"dataset": "\\ud800"}', 422),
        (b'{"\\ud800": "\\udfff"}', 422),
        (b'{"' + b"k" * 100_000 + b'": 1}', 422),
        (b'{"dataset": "' + b"v" * 100_000 + b'"}', 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"digits"', 422),
        (json.dumps({f"key {index}": index for index in range(9000)}).encode(), 422),
    ],
    ids=range(17),
)
def test_a_body_that_is_no_spec_is_a_short_problem(http, body, status):
    answer = http.post("/v1/jobs", content=body, headers=JSON)
    assert_problem(answer, status)
    assert len(answer.content) < 20_000


@pytest.mark.parametrize("depth", [100, 250, 300, 500, 900, 990, 1000, 5000, 60_000])
def test_deeply_nested_json_is_refused(http, depth):
    nested = b"[" * depth + b"]" * depth
    assert_problem(http.post("/v1/jobs", content=nested, headers=JSON), 400, 422)
    body = b'{"dataset": "digits", "model": {"kind": "nobody", "x": ' + nested + b"}}"
    assert_problem(http.post("/v1/jobs", content=body, headers=JSON), 400, 422)


def test_another_content_type_is_refused(http):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"):
        answer = http.post(
            "/v1/jobs", content=b'{"dataset": "digits"}', headers={"content-type": kind}
        )
        assert_problem(answer, 415)
    assert_problem(http.post("/v1/jobs", content=b'{"dataset": "digits"}'), 415)
    answer = http.post("/v1/datasets?name=n", files={"file": b"a,b\n1,2\n"})
    assert "--data-binary" in assert_problem(answer, 415)["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/jobs?limit=0", 422),
        ("/v1/jobs?limit=" + "9" * 5000, 422),
        ("/v1/jobs?limit=many", 422),
        ("/v1/jobs?state=asleep", 422),
        ("/v1/jobs?cursor=", 422),
        ("/v1/jobs?cursor=nonsense", 422),
        ("/v1/jobs?cursor=%00", 422),
        ("/v1/jobs?cursor=%ff%fe", 422),
        ("/v1/jobs?cursor=" + "W" * 5000, 422),
        ("/v1/jobs?cursor=WzFlMzA4LCAiXHUwMDAwIl0", 422),
        ("/v1/jobs/1/trials?order=sideways", 422),
        (f"/v1/jobs/1/trials/{10**30}", 422),
        ("/v1/jobs/1/trials/-1", 422),
        ("/v1/jobs/1/trials/one", 422),
        ("/v1/jobs/" + "a" * 5000, 404),
        (f"/api/studies/{10**30}", 404),
        ("/%00", 404),
    ],
)
def test_absurd_addresses_and_queries_are_refused(http, path, status):
    assert_problem(http.get(path), status)


@pytest.mark.parametrize("key", [b"", b"k k", b"k" * 201, b"\xff\xfe", b"a\xe9"])
def test_an_absurd_idempotency_key_is_refused(http, key):
    answer = http.post("/v1/jobs", json={"dataset": "digits"}, headers=[(b"idempotency-key", key)])
    assert assert_problem(answer, 422)["errors"][0]["field"] == "idempotency-key"


def test_a_body_that_says_it_is_too_large_is_refused_without_reading_it(served):
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        start = time.monotonic()
        connection.sendall(
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000000000\r\n\r\n{"
        )
        said = connection.recv(65536)
        assert said.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in said
        assert time.monotonic() - start < 1.5


def test_a_body_that_turns_out_too_large_is_refused(http):
    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    assert_problem(http.post("/v1/jobs", content=chunks(), headers=JSON), 413)
    assert http.get("/healthz").status_code == 200


def test_a_broken_service_says_so_and_nothing_else(http, monkeypatch):
    def broken(*_: Any) -> None:
        raise RuntimeError("postgresql://user:hunter2@host/db")

    monkeypatch.setattr(lookups, "find_job", broken)
    answer = http.get("/v1/jobs/1")
    assert_problem(answer, 500)
    assert "hunter2" not in answer.text


def test_a_busy_database_is_a_503_with_a_time_to_come_back(service_settings):
    impatient = service_settings.model_copy(update={"request_wait_seconds": 1.0})
    url = impatient.resolved_database_url()
    with serve(impatient) as served, httpx.Client(base_url=served.url, timeout=30) as http:
        job = http.post("/v1/jobs", json={"dataset": "digits"}).json()["links"]["self"]
        with _all_jobs_locked(url):
            answer = http.post(f"{job}/cancel")
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
            assert http.get(job).status_code == 200  # reading waits for no writer
        # On a busy machine the service's own transaction may idle for longer than it is given.
        wait_until(lambda: http.post(f"{job}/cancel").status_code == 200, 30)


@contextmanager
def _all_jobs_locked(url: str) -> Iterator[None]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as blocker:
        if engine.dialect.name == "sqlite":
            blocker.exec_driver_sql("UPDATE jobs SET priority = priority")
        else:
            blocker.exec_driver_sql("SELECT 1 FROM jobs FOR UPDATE")
        yield


def test_the_service_outlives_its_database(postgres_server, postgres_template, tmp_path):
    from_template = f"CREATE DATABASE lost TEMPLATE {postgres_template}"
    url = sa.engine.make_url(postgres_server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    lost: Any = url.set(database="lost").render_as_string(hide_password=False)
    with engine.connect() as server:
        server.execute(sa.text(from_template))
        with serve(Settings(data=tmp_path, database_url=lost, sweep_seconds=0.05)) as served:
            assert httpx.get(f"{served.url}/v1/jobs").status_code == 200
            server.execute(sa.text("DROP DATABASE lost WITH (FORCE)"))
            for path in ("/v1/jobs", "/v1/jobs/1", "/readyz"):
                assert_problem(httpx.get(served.url + path), 503)
            assert httpx.get(f"{served.url}/healthz").status_code == 200
            time.sleep(0.2)
            server.execute(sa.text(from_template))
            assert httpx.get(f"{served.url}/v1/jobs").status_code == 200
            assert "sweeper" in {thread.name for thread in threading.enumerate()}
        server.execute(sa.text("DROP DATABASE lost WITH (FORCE)"))


# --- whatever anybody may send ----------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters())
    | st.sampled_from(["digits", "auto", "l1", "mlp", "linear", "folds", 1e400, -1, 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(sorted(JobSpec.model_fields))
PARTS = st.dictionaries(
    st.sampled_from(["kind", "lambda", "folds", *Search.model_fields, *Range.model_fields]), VALUES
)


@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=VALUES | st.dictionaries(FIELDS, VALUES | PARTS))
def test_no_json_breaks_the_service(http, body):
    if isinstance(body, dict):
        body = {"dataset": "digits"} | body
    answer = http.post("/v1/jobs", content=json.dumps(body).encode(), headers=JSON)
    assert answer.status_code in (201, 400, 422), answer.text
    if answer.status_code != 201:
        assert_problem(answer, 400, 422)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/datasets?name=mine", "/v1/jobs/a/cancel"])
@pytest.mark.parametrize(
    "origin", ["https://elsewhere.example", "null", "http://127.0.0.1", "http://[", "file://HOST"]
)
def test_a_page_of_another_origin_can_change_nothing(http, path, origin):
    host = http.base_url.netloc.decode()
    headers = {"Origin": origin.replace("HOST", host), "Content-Type": "application/json"}
    answer = http.post(path, headers=headers, content=b'{"dataset": "digits"}')
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")
    assert answer.headers["content-type"] == "application/problem+json"
    assert http.get("/v1/jobs", headers=headers).json()["jobs"] == []


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://ridgeway.example:8000", "ridgeway.example:8000"),
        ("https://Ridgeway.example", "ridgeway.example"),
        ("https://ridgeway.example", "ridgeway.example:443"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_services_own_pages_may_change_what_they_like(service_settings, origin, host):
    named = service_settings.model_copy(update={"hosts": "ridgeway.example"})
    headers = {"Origin": origin, "Host": host}
    with serve(named) as served, httpx.Client(base_url=served.url) as http:
        answer = http.post("/v1/jobs", json={"dataset": "digits"}, headers=headers)
        assert answer.status_code == 201


def test_a_spec_that_contradicts_itself_is_refused_where_no_profile_tells(http, monkeypatch):
    monkeypatch.setattr(job_routes, "profile_of", lambda transaction, name: (None, None))
    spec = {"dataset": "a-plugins", "task": "regression", "objective": "accuracy"}
    answer = http.post("/v1/jobs", json=spec)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "objective"
    large = {"dataset": "a-plugins", "model": {"kind": "mlp", "hidden": [8192] * 16}}
    answer = http.post("/v1/jobs", json=large)
    assert answer.json()["errors"][0]["field"] == "model.hidden"
