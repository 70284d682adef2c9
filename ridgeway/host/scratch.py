"""A folder for what is unfinished, which goes with the service.

A killed service can't take its folder away, so the next one does. Which folders are dead is told by
a lock on each, which ends with its process however that ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "ridgeway-service-"


@contextmanager
def scratch_folder() -> Generator[Path]:
    """Lend a folder of our own among the system's temporary ones; sweep those of the dead."""
    sweep_scratch()
    folder, lock = _take()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _take() -> tuple[Path, int]:
    while True:  # another service may sweep the folder before it is locked
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        if (lock := _locked(folder)) is not None:
            return folder, lock


def sweep_scratch(*, dry_run: bool = False) -> list[int]:
    """Delete the folders of services that are dead; return how many bytes were in each."""
    freed: list[int] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another service's sweep was first
            if folder.lstat().st_uid == os.geteuid() and (lock := _locked(folder)) is not None:
                freed.append(sum(each.lstat().st_size for each in folder.rglob("*")))
                if not dry_run:
                    shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
    return freed


def _locked(folder: Path) -> int | None:
    """Return a descriptor that holds the folder's lock; None where it is another's or gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(folder.lstat(), os.fstat(descriptor)):
            return descriptor
    os.close(descriptor)
    return None
