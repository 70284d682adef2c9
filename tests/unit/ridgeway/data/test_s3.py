"""A store in S3: its errors say what to do, and no upload in parts is left behind."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from buckets import S3Server

from ridgeway.data import s3
from ridgeway.data.cache import Cache
from ridgeway.data.store import Store
from ridgeway.errors import InvalidInput, StoreAway

SECRET = "a-secret-that-nobody-reads"
PART = 5 * 2**20  # the least that S3 takes


def refused(url: str) -> str:
    """What the store says at a start, where a person must mend it."""
    with pytest.raises(InvalidInput) as caught:
        Store(url).require_open()
    [error] = caught.value.errors
    assert error.field == "RIDGEWAY_STORE_URL"
    assert SECRET not in str(caught.value)
    return error.message


def away(url: str) -> str:
    """What the store says to who needs it."""
    with pytest.raises(StoreAway) as caught:
        Store(url).put("a", b"")
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def user(s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Somebody who may do nothing; the environment has their keys. Their name."""
    iam, name = s3_server.iam, s3_url.split("/")[2]
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", made["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", made["SecretAccessKey"])
    return name


def test_no_credentials_are_told(s3_url, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert refused(s3_url).startswith("there are no credentials; set AWS_ACCESS_KEY_ID")
    assert "there are no credentials" in away(s3_url)


def test_keys_that_are_unknown_wrong_or_not_allowed_are_told(s3_server, s3_url, user, monkeypatch):
    secret, bucket = os.environ["AWS_SECRET_ACCESS_KEY"], s3_url.split("/")[2]
    with s3_server.strict():
        assert refused(s3_url).startswith("the credentials are wrong, or may not do that; check")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        assert "check AWS_SECRET_ACCESS_KEY" in refused(s3_url)
        assert "check AWS_SECRET_ACCESS_KEY" in away(s3_url)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    may = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    s3_server.iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=policy)
    with s3_server.strict():
        store = Store(s3_url)
        store.require_open()
        assert store.get("a", store.put("a", b"x")) == b"x"
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
        assert "check AWS_ACCESS_KEY_ID" in refused(s3_url)


def test_a_bucket_that_is_not_there_is_told(s3_url):
    assert refused("s3://no-such-bucket/x").startswith("there is no such bucket; make it, or check")
    assert "there is no such bucket" in away("s3://no-such-bucket/x")
    with pytest.raises(StoreAway, match="there is no such bucket"):
        Store("s3://no-such-bucket/x").get("a")


def test_an_endpoint_that_does_not_answer_is_waited_for(s3_url, monkeypatch, caplog):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(s3, "TRIES", 1)
    Store(s3_url).require_open()
    assert "nothing answers there; check AWS_ENDPOINT_URL" in caplog.text
    assert "nothing answers there" in away(s3_url)


def test_an_endpoint_that_is_no_url_is_told(s3_url, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    assert refused(s3_url).startswith("AWS_ENDPOINT_URL is no URL")


def test_a_slash_too_few_makes_no_folder():
    with pytest.raises(InvalidInput, match="must be s3://BUCKET"):
        Store("s3:/bucket/folder")


def test_s3fs_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    loaded = sys.modules["fsspec.registry"]._registry
    monkeypatch.delitem(loaded, "s3", raising=False)
    with pytest.raises(InvalidInput, match=r"run: pip install 'ridgeway\[s3\]'"):
        Store("s3://bucket/folder")


@pytest.mark.parametrize(
    "url", [f"s3://key:{SECRET}@bucket/x", "s3://", "s3:///x", "s3://b/x?versionId=1", "s3://b/#"]
)
def test_a_url_is_a_bucket_and_a_folder_alone(url):
    with pytest.raises(InvalidInput, match="must be s3://BUCKET or s3://BUCKET/FOLDER") as caught:
        Store(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://b_1.x/", "s3a://bucket/a/b/"])
def test_a_bucket_may_be_the_store_or_a_folder_in_it(s3_server, s3_url, url, monkeypatch):
    s3_server.s3.create_bucket(Bucket=url.split("/")[2])
    store = Store(url)
    store.put("jobs/1/model", b"x")
    assert [entry.key for entry in store.entries("jobs")] == ["jobs/1/model"]
    assert store.folders("jobs") == ["jobs/1"]
    store.delete("jobs/1/model")
    assert store.entries("jobs") == []


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Parts of 5 MiB; bytes that need three."""
    monkeypatch.setattr(s3, "PART_BYTES", PART)
    return b"0123456789abcdef" * (PART // 16) * 2 + b"end"


def test_what_is_large_goes_and_comes_in_parts(s3_server, s3_url, small_parts, tmp_path):
    store, file = Store(s3_url), tmp_path / "file"
    file.write_bytes(small_parts)
    s3_server.requests.clear()
    store.put_file("datasets/a", file)
    checksum = store.put("datasets/b", small_parts)
    assert sum(each.startswith("POST") for each in s3_server.requests) == 2 * 2, "begun and ended"
    assert store.get("datasets/a", checksum) == small_parts
    with store.copied("datasets/b") as path:
        assert path.read_bytes() == small_parts
    assert store.uploads() == []


def test_an_upload_that_fails_leaves_no_parts(s3_url, small_parts, tmp_path, monkeypatch):
    store, file = Store(s3_url), tmp_path / "file"
    file.write_bytes(small_parts)
    call = store._files._call_s3

    async def breaks_off(method: str, *given: object, **more: object) -> object:
        if method == "upload_part" and more["PartNumber"] == 2:
            raise OSError("Connection reset by peer")
        return await call(method, *given, **more)

    monkeypatch.setattr(store._files, "_call_s3", breaks_off)
    for put in (lambda: store.put("a", small_parts), lambda: store.put_file("a", file)):
        with pytest.raises(StoreAway, match="can't write 'a'"):
            put()
    assert store.uploads() == []
    assert not store.exists("a")


def test_an_upload_that_nobody_ends_is_found_and_given_up(s3_server, s3_url):
    store = Store(s3_url)
    bucket, _, folder = s3_url.removeprefix("s3://").partition("/")
    for key in (f"{folder}/datasets/a", "others/b"):
        s3_server.s3.create_multipart_upload(Bucket=bucket, Key=key)
    [upload] = store.uploads()
    assert upload.path == f"{bucket}/{folder}/datasets/a"
    store.abort(upload)
    store.abort(upload)
    assert store.uploads() == []


def test_a_file_of_any_size_fits_into_the_parts_that_s3_allows():
    for size in (0, 2**20, 10**12, 5 * 2**40):
        assert s3.part_bytes(size) * 10_000 >= size
        assert s3.part_bytes(size) >= PART


def test_a_store_that_was_away_answers_again(s3_server, s3_url, monkeypatch):
    monkeypatch.setattr(s3, "TRIES", 1)
    store = Store(s3_url)
    store.put("a", b"x")
    with s3_server.away():
        with pytest.raises(StoreAway, match="nothing answers there"):
            store.get("a")
        with pytest.raises(StoreAway):
            store.exists("a")
    assert store.get("a") == b"x"


def test_bytes_that_break_off_are_an_outage_and_no_damage(s3_server, s3_url, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "TRIES", 1)
    store = Store(s3_url, Cache(tmp_path, 2**20))
    checksum = store.put("a", bytes(2**18))
    monkeypatch.setattr(s3_server, "cuts", True)
    with (
        pytest.raises(StoreAway, match="can't read 'a': the connection to it broke off") as caught,
        store.local("a", checksum),
    ):
        pass
    assert type(caught.value) is StoreAway
    assert list(tmp_path.iterdir()) == []


def test_a_store_without_s3_asks_nothing(tmp_path: Path):
    Store(str(tmp_path / "none")).require_open()
    assert not (tmp_path / "none").exists()
