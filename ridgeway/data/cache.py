"""What this machine keeps of a store that is elsewhere: files by their checksum, up to a size.

Shared by all processes of the machine: the first who needs a file fetches it, the others wait for
that and read the same one. A process that dies leaves nothing that would have to be cleaned up by
hand:

    SHA256         a whole file; whoever reads it holds a shared lock on it, so that it stays
    .SHA256.part   one that is being fetched, under an exclusive lock; renamed when it is whole

Locks are `flock`'s, which go with their process: the folder must be on a disk of this machine.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

from ridgeway.data.folder import delete_unheld, is_at, make_room, note_access, write_once
from ridgeway.errors import StoreDamaged

_WHOLE = re.compile(r"[0-9a-f]{64}")
_OURS = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.part")


@dataclass(frozen=True)
class Source:
    """A file of the store: its key, its checksum, its size, and what copies it into a file."""

    key: str
    checksum: str  # sha256
    bytes: Callable[[], int]
    fetch: Callable[[Path], None]


class Cache:
    """Files of a store, on this machine; no more than `most_bytes`, but for those in use."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes

    def require_writable(self) -> None:
        """Make the folder, for this user alone; OSError where nothing can be written there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self._folder / f".{os.getpid()}.probe"
        probe.touch()
        probe.unlink()

    @contextmanager
    def held(self, source: Source) -> Generator[Path]:
        """Yield a file with the source's bytes, which stays as it is until the block ends.

        It is fetched where it is not here, or is damaged. StoreDamaged where the store's own bytes
        don't have that checksum; any error of `source.fetch`.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with self._whole(source) as path:
                yield path
        finally:
            with suppress(OSError):
                self._make_room(0)

    @contextmanager
    def _whole(self, source: Source) -> Generator[Path]:
        path = self._folder / source.checksum
        while True:
            if (file := _opened(path)) is None:
                self._fetch(source)
                continue
            with file:
                fcntl.flock(file, fcntl.LOCK_SH)
                if not is_at(file, path):  # deleted to make room while we waited
                    continue
                if checksum_of(path) != source.checksum:  # damaged: the next turn fetches it again
                    if is_at(file, path):
                        path.unlink(missing_ok=True)
                    continue
                note_access(path)
                yield path
                return

    def _fetch(self, source: Source) -> None:
        """Bring the file here, unless another does while we wait for it."""

        def fetch(file: IO[bytes]) -> None:
            part = Path(file.name)
            self._make_room(source.bytes())
            source.fetch(part)
            if checksum_of(part) != source.checksum:
                raise StoreDamaged.of(source.key)

        write_once(
            self._folder / source.checksum, fetch, lambda file: fcntl.flock(file, fcntl.LOCK_EX)
        )

    def _make_room(self, needed: int) -> None:
        """Delete what was used longest ago and is in nobody's use, until so many bytes fit."""
        ours = [path for path in self._folder.iterdir() if _OURS.fullmatch(path.name)]
        make_room(ours, lambda kept: needed + kept <= self._most, _is_unfinished, delete_unheld)

    def checksums(self) -> frozenset[str]:
        """Return the checksums of the files that are here as a whole."""
        if not self._folder.is_dir():
            return frozenset()
        return frozenset(p.name for p in self._folder.iterdir() if _WHOLE.fullmatch(p.name))


def checksum_of(path: Path) -> str:
    """Return the sha256 of a file's bytes; it is read once as long as it does not change."""
    found = path.stat()
    return _checksum(path, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=256)
def _checksum(path: Path, version: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_unfinished(path: Path, found: os.stat_result) -> bool:
    """Return whether the file is one of a process that died, if nobody holds it."""
    return _WHOLE.fullmatch(path.name) is None
