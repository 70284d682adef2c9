"""The store keeps bytes whole, under keys of ours alone."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ridgeway.data.cache import Cache
from ridgeway.data.store import Store, sha256, sha256_of_file
from ridgeway.errors import InvalidInput, NotFound, StoreAway, StoreDamaged
from ridgeway.settings import Settings


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    cache = Cache(tmp_path / "cache", 10**9)
    if request.param == "s3":
        return Store(request.getfixturevalue("s3_url"), cache)
    folder = tmp_path / "s"
    urls = {"folder": str(folder), "file": folder.as_uri(), "memory": f"memory://{uuid.uuid4()}"}
    return Store(urls[request.param], cache)


def test_bytes_come_back_with_their_checksum(store: Store) -> None:
    assert store.put("jobs/1/model.bin", b"\x00\xff") == hashlib.sha256(b"\x00\xff").hexdigest()
    assert store.get("jobs/1/model.bin") == b"\x00\xff"
    with store.open("jobs/1/model.bin") as file:
        assert file.read(1) == b"\x00"


def test_putting_again_replaces_and_deleting_twice_is_fine(store: Store) -> None:
    store.put("a", b"old")
    store.put("a", b"new")
    assert store.get("a") == b"new"
    assert store.exists("a")
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")


def test_an_absent_key_is_not_found(store: Store) -> None:
    def held(way: Callable[[], AbstractContextManager[object]]) -> None:
        with way():
            pass

    ways: list[Callable[[str], object]] = [
        store.get,
        store.open,
        lambda key: store.open_whole(key, "0" * 64),
        lambda key: held(lambda: store.copied(key)),
        lambda key: held(lambda: store.local(key, "0" * 64)),
    ]
    store.put("datasets/another", b"")
    for way in ways:
        with pytest.raises(NotFound, match="The store holds no 'datasets/none'"):
            way("datasets/none")


def test_a_file_is_put_and_copied_without_being_read_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"rows")
    store.put_file("datasets/a", tmp_path / "file")
    assert store.get("datasets/a") == b"rows"
    with store.copied("datasets/a") as path:
        assert path.read_bytes() == b"rows"


def test_what_is_asked_for_by_its_checksum_has_it(store: Store) -> None:
    checksum = store.put("a", b"as it was written")
    for _ in range(2):  # from a cache, too
        assert store.get("a", checksum) == b"as it was written"
        with store.open_whole("a", checksum) as file:
            assert file.read() == b"as it was written"
        with store.local("a", checksum) as path:
            assert path.read_bytes() == b"as it was written"


@pytest.mark.parametrize("there", [b"as it was", b"as it was wrought!"], ids=["cut", "changed"])
def test_other_bytes_than_were_written_are_named_and_not_given(store: Store, there: bytes) -> None:
    checksum = sha256(b"as it was written")
    store.put("jobs/1/model", there)
    ways: list[Callable[[], object]] = [
        lambda: store.get("jobs/1/model", checksum),
        lambda: store.open_whole("jobs/1/model", checksum),
        lambda: store.local("jobs/1/model", checksum).__enter__(),
    ]
    for way in ways:
        with pytest.raises(StoreDamaged, match="'jobs/1/model' is damaged"):
            way()


def test_a_shared_folder_that_breaks_off_while_it_is_read_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), None)
    checksum = store.put("a", b"rows")

    def broken(*_: object) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", broken)
    ways: list[Callable[[], object]] = [
        lambda: store.local("a", checksum).__enter__(),
        lambda: store.open_whole("a", checksum),
    ]
    for way in ways:
        with pytest.raises(StoreAway, match="can't read 'a': Input/output error") as told:
            way()
        assert told.value.key == "a"


@pytest.mark.parametrize(("number", "reading"), [(errno.EACCES, True), (errno.ENOSPC, False)])
def test_a_full_disk_of_this_machines_is_not_the_files_fault(
    number: int, reading: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"memory://{uuid.uuid4()}", Cache(tmp_path / "cache", 10**9))
    checksum = store.put("a", b"rows")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store._files, "get_file", fail)
    with pytest.raises(StoreAway, match=os.strerror(number)) as told:
        store.local("a", checksum).__enter__()
    assert told.value.reading is reading


def test_a_folder_that_is_not_mounted_is_away_and_holds_what_it_held(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "mount" / "store"), None)
    checksum = store.put("a", b"rows")
    (tmp_path / "mount").rename(tmp_path / "elsewhere")
    (tmp_path / "mount").mkdir()
    for way in (lambda: store.exists("a"), lambda: store.local("a", checksum).__enter__()):
        with pytest.raises(StoreAway, match="can't read 'a': its folder is not there"):
            way()
    (tmp_path / "mount").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "mount")
    with store.local("a", checksum) as path:
        assert path.read_bytes() == b"rows"


def test_a_store_that_answers_beside_a_file_that_it_cannot_read_says_so(store, tmp_path) -> None:
    store.put("datasets/a", b"abc")
    store.probe("datasets/b")
    store.probe("jobs")
    assert [each.key for each in store.entries("datasets")] == ["datasets/a"]
    (tmp_path / "mount").mkdir()
    missing = Store(str(tmp_path / "mount" / "store"))
    with pytest.raises(StoreAway, match="its folder is not there"):
        missing.probe("datasets/b")
    assert not (tmp_path / "mount" / "store").exists(), "which would hide the mount's absence"


def test_what_a_folder_keeps_is_read_in_its_place(tmp_path: Path) -> None:
    for url in (str(tmp_path / "s"), (tmp_path / "s").as_uri()):
        store = Store(url, Cache(tmp_path / "cache", 10**9))
        checksum = store.put("a", b"rows")
        with store.local("a", checksum) as path:
            assert path == tmp_path / "s" / "a"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "A", "a b", ".hidden", "a\x00", "a\n"],
)
def test_only_keys_of_ours_are_taken(tmp_path: Path, key: str) -> None:
    store = Store(str(tmp_path))
    for act in (store.get, store.exists, store.delete, lambda key: store.put(key, b"")):
        with pytest.raises(ValueError, match="no key of the store"):
            act(key)


def test_a_write_that_fails_leaves_the_old_bytes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.put("a", b"old")

    def full(*_: object) -> int:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreAway, match="The store can't write 'a': No space left"):
        store.put("a", b"new")
    monkeypatch.undo()
    assert store.get("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_store_is_a_folder_in_the_data_folder_by_default(tmp_path: Path) -> None:
    Store.of(Settings(data=tmp_path)).put("datasets/x.parquet", b"1")
    assert (tmp_path / "store" / "datasets" / "x.parquet").read_bytes() == b"1"


def test_an_unknown_protocol_is_refused_without_repeating_the_url() -> None:
    with pytest.raises(InvalidInput, match="RIDGEWAY_STORE_URL") as refused:
        Store("nosuch://user:secret@host/x")
    assert "secret" not in str(refused.value)


def test_a_files_checksum_is_its_bytes_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_what_a_kind_of_store_raises_of_its_own_is_a_store_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Throttled(Exception):
        """No OSError, as botocore's are none."""

    def throttle(*_: object, **__: object) -> bytes:
        raise Throttled("https://bucket.example/?secret=1")

    store = Store("memory://throttled")
    for name in ("pipe_file", "cat_file"):
        monkeypatch.setattr(MemoryFileSystem, name, throttle)
    for act in (lambda: store.put("a", b""), lambda: store.get("a")):
        with pytest.raises(StoreAway) as caught:
            act()
        assert isinstance(caught.value, OSError)  # which workers wait for
        assert "secret" not in str(caught.value)


def test_what_lies_below_a_prefix_is_listed_with_its_age(store: Store) -> None:
    before = time.time() - 5
    for key in ("jobs/2/a/model", "jobs/1/model", "datasets/x.parquet", "jobs/top"):
        store.put(key, b"")
    entries = store.entries("jobs")
    assert [entry.key for entry in entries] == ["jobs/1/model", "jobs/2/a/model", "jobs/top"]
    assert all(before < (entry.modified or 0) < time.time() + 5 for entry in entries)
    assert store.folders("jobs") == ["jobs/1", "jobs/2"]
    assert [entry.key for entry in store.entries("jobs/1")] == ["jobs/1/model"]
    store.put("jobs/1/late", b"")
    store.delete("jobs/1/model")
    assert [entry.key for entry in store.entries("jobs/1")] == ["jobs/1/late"], "not an old list"
    assert (store.entries("nothing"), store.folders("nothing")) == ([], [])


def test_strange_files_in_the_folder_are_not_ours_to_list(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put("jobs/1/model", b"")
    for name in ("Model", ".DS_Store", f".{'A' * 32}"):
        (tmp_path / "jobs" / "1" / name).write_bytes(b"")
    assert [entry.key for entry in store.entries("jobs")] == ["jobs/1/model"]


def test_a_half_of_a_file_can_be_listed_and_deleted_and_nothing_else(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    half = tmp_path / "jobs" / f".{uuid.uuid4().hex}"
    half.parent.mkdir()
    half.write_bytes(b"")
    [entry] = store.entries("jobs")
    for act in (store.get, store.exists, lambda key: store.put(key, b"")):
        with pytest.raises(ValueError, match="no key of the store"):
            act(entry.key)
    store.delete(entry.key)
    assert not half.exists()


def test_a_folder_goes_with_its_last_file_and_comes_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s"))
    store.put("jobs/1/2-3/model", b"")
    store.put("jobs/1/checkpoints/a", b"")
    store.delete("jobs/1/2-3/model")
    assert store.folders("jobs/1") == ["jobs/1/checkpoints"]
    store.delete("jobs/1/checkpoints/a")
    assert list((tmp_path / "s").iterdir()) == []
    store.put("jobs/1/2-3/model", b"")
    assert store.exists("jobs/1/2-3/model")


def test_a_folder_that_is_removed_under_a_writer_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, write, removed = Store(str(tmp_path)), Path.write_bytes, []

    def write_late(path: Path, data: bytes) -> int:
        if not removed:
            removed.append(path.parent)
            path.parent.rmdir()
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_late)
    store.put("jobs/1/model", b"weights")
    assert removed == [tmp_path / "jobs" / "1"]
    assert store.get("jobs/1/model") == b"weights"
