"""Files in a folder of this machine: written whole or not at all, gone with their folders."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO


def write_bytes(target: Path, data: bytes) -> None:
    """Write a file, in place of what was there, making its folder where there is none."""
    _write_whole(target, lambda unfinished: unfinished.write_bytes(data))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, in place of what was there, making its folder where there is none."""
    _write_whole(target, lambda unfinished: shutil.copyfile(source, unfinished))


def remove_empty(folder: Path, root: Path) -> None:
    """Remove the folder and those above that are empty then, below the root."""
    with suppress(OSError):  # not empty, gone, or not ours to remove
        while folder != root and folder.is_relative_to(root):
            folder.rmdir()
            folder = folder.parent


def is_at(file: IO[bytes], path: Path) -> bool:
    """Return whether an open file is the one at the path, and not deleted or replaced since."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_once(
    path: Path, write: Callable[[IO[bytes]], object], lock: Callable[[int], object]
) -> None:
    """Write a file that is not there, unless another process does while `lock` waits for it.

    It is written beside, into what is left of a process that was killed, and shows when it is
    whole. lock: takes an exclusive `flock` of a file's descriptor.
    """
    part = path.with_name(f".{path.stem}.part")
    with part.open("ab") as file:
        lock(file.fileno())
        if not is_at(file, part):  # who had the lock has named it, or given up
            return
        try:
            if not path.exists():
                write(file)
                part.replace(path)
                return
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        part.unlink()


def make_room(
    files: Iterable[Path],
    fits: Callable[[int], bool],
    is_due: Callable[[Path, os.stat_result], bool],
    delete: Callable[[Path], bool],
) -> list[int]:
    """Delete files that are due, and those used longest ago until what is kept fits.

    fits: asked with the bytes that are kept. delete: `delete_unheld`, or `is_unheld` for a dry run.
    Returns the sizes of what went.
    """
    found: list[tuple[Path, os.stat_result]] = []
    for path in files:
        with suppress(FileNotFoundError):
            found.append((path, path.stat()))
    kept, gone = sum(each.st_size for _, each in found), list[int]()
    for path, each in sorted(found, key=lambda one: one[1].st_atime_ns):
        if (is_due(path, each) or not fits(kept)) and delete(path):
            kept -= each.st_size
            gone.append(each.st_size)
    return gone


def delete_unheld(path: Path) -> bool:
    """Delete a file unless somebody holds a lock on it; return whether it is gone."""
    return _if_unheld(path, Path.unlink)


def is_unheld(path: Path) -> bool:
    """Return whether nobody holds a lock on the file."""
    return _if_unheld(path, lambda _: None)


def _if_unheld(path: Path, act: Callable[[Path], None]) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(file, path):
                act(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def note_access(path: Path) -> None:
    """Let the time of access tell when the file was last used, however the disk is mounted."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _write_whole(target: Path, write: Callable[[Path], object]) -> None:
    try:
        _write_beside(target, write)
    except FileNotFoundError:  # whoever deleted the last file of the folder took that with it
        _write_beside(target, write)


def _write_beside(target: Path, write: Callable[[Path], object]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{uuid.uuid4().hex}")
    try:
        write(unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
