"""A machine's copies of what a store elsewhere holds: each fetched once, and no more than fit."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from ridgeway.data.cache import Cache, Source
from ridgeway.errors import StoreAway, StoreDamaged


class Elsewhere:
    """A store that counts how often each of its files is fetched."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def source(self, key: str, data: bytes) -> Source:
        self.files[key] = data

        def fetch(target: Path) -> None:
            self.fetched.append(key)
            target.write_bytes(self.files[key])

        checksum = hashlib.sha256(data).hexdigest()
        return Source(key, checksum, lambda: len(self.files[key]), fetch)


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


def read(cache: Cache, source: Source) -> bytes:
    with cache.held(source) as path:
        return path.read_bytes()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_is_fetched_once_whoever_asks(tmp_path, elsewhere):
    source, met = elsewhere.source("a", b"rows"), threading.Barrier(8)
    read_by: list[bytes] = []

    def ask() -> None:
        cache = Cache(tmp_path, 100)  # as each process has one
        met.wait()
        read_by.append(read(cache, source))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_by == [b"rows"] * 8
    assert elsewhere.fetched == ["a"]
    assert names(tmp_path) == {source.checksum}


def test_what_was_used_longest_ago_makes_room(tmp_path, elsewhere):
    cache = Cache(tmp_path, 10)
    a, b, c = (elsewhere.source(key, key.encode() * 4) for key in "abc")
    for each in (a, b, a, c):
        read(cache, each)
    assert names(tmp_path) == {a.checksum, c.checksum}
    assert elsewhere.fetched == ["a", "b", "c"]


def test_a_file_in_use_stays_and_goes_after(tmp_path, elsewhere):
    cache, other = Cache(tmp_path, 5), Cache(tmp_path, 5)
    a, b = (elsewhere.source(key, key.encode() * 4) for key in "ab")
    with ExitStack() as stack:
        path = stack.enter_context(cache.held(a))
        with other.held(b) as beside:
            assert (path.read_bytes(), beside.read_bytes()) == (b"aaaa", b"bbbb")
        assert names(tmp_path) == {a.checksum}, "b alone could go"
    assert path.exists()


def test_a_file_larger_than_the_cache_is_used_and_not_kept(tmp_path, elsewhere):
    assert read(Cache(tmp_path, 3), elsewhere.source("a", b"rows")) == b"rows"
    assert names(tmp_path) == set()


@pytest.mark.parametrize("damaged", [b"row", b"rowz"], ids=["cut", "changed"])
def test_a_damaged_copy_is_fetched_again(tmp_path, elsewhere, damaged):
    cache, source = Cache(tmp_path, 100), elsewhere.source("a", b"rows")
    read(cache, source)
    (tmp_path / source.checksum).write_bytes(damaged)
    assert read(cache, source) == b"rows"
    assert elsewhere.fetched == ["a", "a"]


def test_what_the_store_itself_has_damaged_is_told_and_not_kept(tmp_path, elsewhere):
    source = elsewhere.source("datasets/a", b"rows")
    elsewhere.files["datasets/a"] = b"row"
    with pytest.raises(StoreDamaged, match="'datasets/a' is damaged"):
        read(Cache(tmp_path, 100), source)
    assert names(tmp_path) == set()


def test_a_fetch_that_fails_leaves_nothing_and_the_next_one_is_tried(tmp_path, elsewhere):
    source = elsewhere.source("a", b"rows")

    def breaks_off(target: Path) -> None:
        target.write_bytes(b"ro")
        raise StoreAway("gone")

    with pytest.raises(StoreAway):
        read(Cache(tmp_path, 100), Source("a", source.checksum, source.bytes, breaks_off))
    assert names(tmp_path) == set()
    assert read(Cache(tmp_path, 100), source) == b"rows"


def test_what_a_dead_process_left_half_fetched_goes_and_a_live_one_s_stays(tmp_path, elsewhere):
    dead, live = (tmp_path / f".{letter * 64}.part" for letter in "de")
    for part in (dead, live):
        part.write_bytes(b"half")
    with live.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        read(Cache(tmp_path, 100), elsewhere.source("a", b"rows"))
        assert not dead.exists()
        assert live.exists()


def test_others_files_in_the_folder_are_not_ours_to_delete(tmp_path, elsewhere):
    (tmp_path / "notes.txt").write_bytes(b"mine" * 100)
    read(Cache(tmp_path, 4), elsewhere.source("a", b"rows"))
    assert (tmp_path / "notes.txt").exists()


def test_copies_are_for_their_user_alone(tmp_path, elsewhere):
    folder = tmp_path / "cache"
    before = os.umask(0o077)  # ridgeway/host/private.py
    try:
        with Cache(folder, 100).held(elsewhere.source("a", b"rows")) as path:
            assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    finally:
        os.umask(before)


def test_a_file_is_checked_once_as_long_as_it_does_not_change(tmp_path, elsewhere, monkeypatch):
    digest: Callable[..., object] = hashlib.file_digest
    asked: list[object] = []
    monkeypatch.setattr(hashlib, "file_digest", lambda *of: asked.append(of) or digest(*of))
    cache, source = Cache(tmp_path, 100), elsewhere.source("a", b"rows of which none is another's")
    for _ in range(3):
        read(cache, source)
    assert len(asked) == 2, "as it came, and where it lies"
