"""Files in a folder of this machine: written whole or not at all, gone with their folders."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
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
