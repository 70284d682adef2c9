"""What a reader has is not sent again; text comes compressed, streams and files as they are."""

from __future__ import annotations

import gzip
import hashlib

import pytest
import sqlalchemy as sa
from simulated import recommended
from submitting import submit

from ridgeway.database.clock import now
from ridgeway.database.tables import artifacts
from ridgeway.jobs.rows import update_job

PACKED = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def job_id(served, http, database) -> str:
    """A job that is answered, with a path of 9 kB and a model in the store."""
    own = submit(database)
    answer = recommended().model_dump(mode="json")
    store = served.app.state.context.store if http.get("/healthz").is_success else None
    with database.transaction() as transaction:
        update_job(transaction, own, state="succeeded", recommended=answer, finished_at=2.0)
        files = {"path.json": b'{"a":1}' + b" " * 9000, "model.safetensors": b"x" * 9000}
        for name, data in files.items():
            address = f"jobs/{own}/1-1-{name}"
            row = {"job_id": own, "name": name, "address": address, "bytes": len(data)}
            row |= {"checksum": store.put(address, data), "created_at": now()}
            transaction.execute(sa.insert(artifacts).values(row))
    return own


def test_what_is_read_again_is_told_to_be_the_same(http, job_id):
    for address in (
        f"/v1/jobs/{job_id}",
        f"/v1/jobs/{job_id}/trials",
        f"/v1/jobs/{job_id}/path",
        f"/v1/jobs/{job_id}/model",
        f"/v1/jobs/{job_id}/model?format=safetensors&role=recommended",
        "/v1/datasets/digits",
        "/v1/datasets/digits?rows=7",
    ):
        for encoding in (PLAIN, PACKED):
            first = http.get(address, headers=encoding)
            assert first.status_code == 200, (address, first.text)
            assert first.headers["cache-control"] == "private, no-cache"
            tag = first.headers["etag"]
            again = http.get(address, headers={**encoding, "If-None-Match": tag})
            assert (again.status_code, again.content) == (304, b""), address
            assert again.headers["etag"] == tag
            other = http.get(address, headers={**encoding, "If-None-Match": '"other"'})
            assert other.content == first.content


def test_a_change_makes_another_tag(http, database, job_id):
    address = f"/v1/jobs/{job_id}/plots"
    tag = http.get("/v1/datasets/digits").headers["etag"]
    submit(database)
    assert http.get("/v1/datasets/digits", headers={"If-None-Match": tag}).status_code == 200
    before = http.get(f"/v1/jobs/{job_id}").headers["etag"]
    with database.transaction() as transaction:
        update_job(transaction, job_id, warnings=["new"])
    assert http.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": before}).status_code == 200
    assert http.get(f"{address}/nothing", headers={"If-None-Match": "*"}).status_code == 404


def test_text_is_compressed_for_those_who_take_that_and_its_tag_is_weak(http, job_id):
    address = f"/v1/jobs/{job_id}/path"
    with http.stream("GET", address, headers=PACKED) as packed:
        raw = b"".join(packed.iter_raw())
    plain = http.get(address, headers=PLAIN)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 10
    strong = f'"{hashlib.sha256(plain.content).hexdigest()}"'
    assert (plain.headers["etag"], packed.headers["etag"]) == (strong, f"W/{strong}")
    assert "accept-encoding" in packed.headers["vary"].lower()


def test_a_look_is_compressed_as_other_text_is_once_for_all_who_take_that(http, job_id):
    address = f"/v1/jobs/{job_id}"
    plain = http.get(address, headers=PLAIN)
    assert "content-encoding" not in plain.headers
    for _ in range(2):
        with http.stream("GET", address, headers=PACKED) as packed:
            raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) == len(raw) < len(plain.content)
        assert gzip.decompress(raw) == plain.content
        assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
        assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    part = http.get(address, headers=PACKED | {"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (200, plain.content)
    assert "content-encoding" not in part.headers


def test_files_of_models_and_event_streams_are_sent_as_they_are(http, job_id):
    model = http.get(f"/v1/jobs/{job_id}/model", headers=PACKED)
    assert "content-encoding" not in model.headers
    assert model.headers["content-length"] == "9000"
    events = http.get(f"/v1/jobs/{job_id}/events", headers=PACKED)
    assert events.headers["content-type"].startswith("text/event-stream")
    assert "content-encoding" not in events.headers
