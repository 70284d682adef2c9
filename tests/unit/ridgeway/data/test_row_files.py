"""Files of rows: no more than fit, and none goes that somebody reads."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from ridgeway.data import row_files
from ridgeway.data.row_files import RowFiles

NOW = 1e9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files of 10 bytes, used one, two and three hours ago."""
    monkeypatch.setattr(row_files.time, "time", lambda: NOW)
    for hours in (1, 2, 3):
        keep(tmp_path / f"{hours}.npy", hours)
    return tmp_path


def keep(path: Path, hours_ago: float) -> None:
    path.write_bytes(b"0123456789")
    os.utime(path, (NOW - 3600 * hours_ago,) * 2)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("most", "needed", "left"),
    [(30, 0, "123"), (29, 0, "12"), (30, 10, "12"), (15, 0, "1"), (0, 0, ""), (5, 10, "")],
)
def test_what_was_used_longest_ago_goes_first(folder, most, needed, left):
    gone = [10] * (3 - len(left))
    assert RowFiles(folder, most).make_room(needed, dry_run=True) == gone
    assert len(names(folder)) == 3, "a dry run deletes nothing"
    assert RowFiles(folder, most).make_room(needed) == gone
    assert names(folder) == [f"{hours}.npy" for hours in left]


def test_what_somebody_reads_stays_and_the_next_goes_for_it(folder):
    with (folder / "3.npy").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        RowFiles(folder, 20).make_room()
        assert names(folder) == ["1.npy", "3.npy"]
    RowFiles(folder, 10).make_room()
    assert names(folder) == ["1.npy"]


def test_old_files_and_those_of_dead_writers_go_while_there_is_room(folder):
    keep(folder / "old.npy", 25)
    keep(folder / ".dead.part", 0)
    keep(folder / "another's", 100)
    with (folder / ".alive.part").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert RowFiles(folder, 1000).make_room() == [10, 10]
    assert names(folder) == [".alive.part", "1.npy", "2.npy", "3.npy", "another's"]


def test_a_disk_without_room_gives_up_what_nobody_reads(folder, monkeypatch):
    monkeypatch.setattr(row_files, "SPARE", 2**62)
    RowFiles(folder, 1000).make_room()
    assert names(folder) == []
    assert RowFiles(folder / "nowhere", 0).make_room(5) == []
