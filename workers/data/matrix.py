"""Encoded rows in a file of this machine, made once and read by all its workers.

A file has its name from what it holds, and shows under it when it is whole. Workers map it into
memory: what they read together the system keeps once, and takes back where memory runs short.

    NAME.npy       numbers (rows, d), row after row; who reads them holds a shared lock
    .NAME.part     one that is being written, under an exclusive lock
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ridgeway.data.folder import is_at, note_access, write_once
from ridgeway.data.row_files import WHOLE, RowFiles
from ridgeway.errors import JobUnrunnable
from workers.heeding import heed

Floats = npt.NDArray[np.float64]

WAIT_SECONDS = 0.1  # between two looks whether another worker has written the file


class Matrix:
    """Numbers (rows, d) in a file, read as an array is: by positions, in float64."""

    def __init__(self, file: IO[bytes], values: npt.NDArray[Any]) -> None:
        self._values = values
        weakref.finalize(self, file.close)  # and with it the lock is gone

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of columns."""
        rows, columns = self._values.shape
        return rows, columns

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Floats:
        return np.array(self._values[index], np.float64)


@dataclass(frozen=True)
class Content:
    """What a file is to hold: blocks of rows, which add up to its shape. dtype: float32 or 64."""

    name: str
    shape: tuple[int, int]
    dtype: npt.DTypeLike
    blocks: Callable[[], Iterator[npt.NDArray[Any]]]

    @property
    def bytes(self) -> int:
        """The size of the numbers."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize


def matrix_of(files: RowFiles, content: Content) -> Matrix:
    """Return the content's file, mapped; it is written where there is none.

    Where another worker writes it, that is waited for. JobUnrunnable where the disk has no room.
    """
    folder = files.folder
    path = folder / f"{content.name}{WHOLE}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while (found := _opened(path, content)) is None:
            _write_unless_written(path, content, files)
    except OSError as error:
        why = error.strerror or str(error)
        free = shutil.disk_usage(folder).free if folder.is_dir() else 0
        raise JobUnrunnable(
            f"The rows of this job need a file of {content.bytes / 1e9:.2g} GB in the folder "
            f"'{folder.name}' of RIDGEWAY_DATA, which has {free / 1e9:.2g} GB free: {why}. "
            "Make room there, or name a folder that has some."
        ) from error
    return found


def _opened(path: Path, content: Content) -> Matrix | None:
    """Return the file's matrix; None where there is no file, or one that does not fit."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    fcntl.flock(file, fcntl.LOCK_SH)
    if not is_at(file, path):  # deleted while we waited
        file.close()
        return None
    try:
        values = np.load(path, mmap_mode="r")
    except (ValueError, EOFError, FileNotFoundError):  # cut short, or given up by another for that
        values = None
    if values is None or values.shape != content.shape or values.dtype != content.dtype:
        file.close()
        path.unlink(missing_ok=True)
        return None
    note_access(path)
    return Matrix(file, np.asarray(values))


def _write_unless_written(path: Path, content: Content, files: RowFiles) -> None:
    def write(file: IO[bytes]) -> None:
        file.truncate(0)  # of a worker that was killed
        files.make_room(content.bytes)
        _write(file, content)

    write_once(path, write, _lock)


def _lock(file: int) -> None:
    while True:
        heed()
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(WAIT_SECONDS)


def _write(file: IO[bytes], content: Content) -> None:
    described = np.lib.format.dtype_to_descr(np.dtype(content.dtype))
    head = {"descr": described, "fortran_order": False, "shape": content.shape}
    np.lib.format.write_array_header_1_0(file, head)
    for block in content.blocks():
        heed()
        file.write(np.ascontiguousarray(block, content.dtype).data)
    file.flush()
    os.fsync(file.fileno())
