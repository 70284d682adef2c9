"""The store of bytes: data sets, models and reports, under keys that Ridgeway makes.

A folder by default, any fsspec URL where there are many machines (`s3://bucket/folder`).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import fsspec  # pyright: ignore[reportMissingTypeStubs] - it ships none
from fsspec.implementations.local import (  # pyright: ignore[reportMissingTypeStubs]
    LocalFileSystem,
)

from ridgeway.errors import InvalidInput, NotFound, StoreAway
from ridgeway.settings import Settings

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")
_UNFINISHED = re.compile(rf"({_KEY.pattern}/)?\.[0-9a-f]{{32}}")  # of a writer at work, or dead
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")  # in fsspec's dialects


@dataclass(frozen=True)
class Entry:
    """A file in the store: its key, and when it was written by the store's clock, if that is told.

    In a folder it may be an unfinished one, which its writer has yet to name.
    """

    key: str
    modified: float | None  # seconds since 1970
    bytes: int = 0


class Store:
    """Bytes by key. A key's bytes appear whole or not at all.

    StoreAway where the store does not answer, has no room, or lets nobody in.
    """

    def __init__(self, url: str) -> None:
        try:
            located: tuple[Any, str] = fsspec.core.url_to_fs(url)  # pyright: ignore
        except (ValueError, ImportError, TypeError, OSError) as error:
            # The URL itself may hold a password: only its protocol is repeated.
            protocol = url.partition(":")[0]
            message = f"is no URL that fsspec can open: {error}"
            raise InvalidInput.of("RIDGEWAY_STORE_URL", protocol, message) from None
        self._files, self._root = located

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """Open the store that the settings name."""
        return cls(settings.resolved_store_url())

    def put(self, key: str, data: bytes) -> str:
        """Keep the bytes under the key, in place of what was there; their sha256."""
        path = self._path(key)
        with _reaching("write", key):
            if isinstance(self._files, LocalFileSystem):
                _write_whole(Path(path), data)
            else:
                self._files.pipe_file(path, data)  # an object shows when it is complete
        return sha256(data)

    def get(self, key: str) -> bytes:
        """Read the bytes under the key; NotFound where there are none."""
        path = self._path(key)
        with _reaching("read", key):
            return self._files.cat_file(path)

    def open(self, key: str) -> IO[bytes]:
        """Open the bytes under the key as a file to read; NotFound where there are none."""
        path = self._path(key)
        with _reaching("read", key):
            return self._files.open(path, "rb")

    def exists(self, key: str) -> bool:
        """Return True where there are bytes under the key."""
        return bool(self._files.isfile(self._path(key)))

    def delete(self, key: str) -> None:
        """Forget the bytes under the key, if there are any, or an entry that is unfinished."""
        path = f"{self._root}/{key}" if _UNFINISHED.fullmatch(key) else self._path(key)
        with suppress(NotFound), _reaching("delete", key):
            self._files.rm_file(path)
        if isinstance(self._files, LocalFileSystem):
            _remove_empty(Path(path).parent, Path(self._root))

    def folders(self, prefix: str) -> list[str]:
        """List the folders of a prefix, as prefixes of their own; in order."""
        with suppress(NotFound), _reaching("list", prefix):
            found: list[dict[str, Any]] = self._files.ls(self._path(prefix), detail=True)
            return sorted(self._key(each["name"]) for each in found if each["type"] == "directory")
        return []

    def entries(self, prefix: str) -> list[Entry]:
        """List whatever we have written below a prefix, in the order of keys."""
        found: dict[str, dict[str, Any]] = {}
        with suppress(NotFound), _reaching("list", prefix):
            found = self._files.find(self._path(prefix), detail=True)
        entries = [
            Entry(self._key(path), _modified(info), int(info.get("size") or 0))
            for path, info in found.items()
        ]
        ours = [e for e in entries if _KEY.fullmatch(e.key) or _UNFINISHED.fullmatch(e.key)]
        return sorted(ours, key=lambda entry: entry.key)

    def _key(self, path: str) -> str:
        return path.strip("/").removeprefix(f"{self._root}/".lstrip("/"))

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"no key of the store: {key!r}; accepted: a-z 0-9 . _ - and /")
        return f"{self._root}/{key}"


@contextmanager
def _reaching(verb: str, key: str) -> Generator[None]:
    """Raise NotFound for what is not there, StoreAway for whatever else hinders."""
    try:
        yield
    except FileNotFoundError as error:
        if verb == "write":  # a folder that went away
            raise StoreAway(_why(verb, key, error)) from error
        raise NotFound(f"The store holds no '{key}'.") from None
    except MemoryError:
        raise
    except Exception as error:  # each kind of store has errors of its own
        raise StoreAway(_why(verb, key, error)) from error


def _why(verb: str, key: str, error: Exception) -> str:
    # The whole text names a path of this machine, or a bucket.
    said = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
    return f"The store can't {verb} '{key}': {said}."


def _modified(info: Mapping[str, Any]) -> float | None:
    told = next((info[name] for name in _TIMES if name in info), None)
    if isinstance(told, datetime):
        return told.timestamp()
    return float(told) if isinstance(told, int | float) else None


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove the folder and those above that are empty then, below the root."""
    with suppress(OSError):  # not empty, gone, or not ours to remove
        while folder != root and folder.is_relative_to(root):
            folder.rmdir()
            folder = folder.parent


def _write_whole(target: Path, data: bytes) -> None:
    try:
        _write_beside(target, data)
    except FileNotFoundError:  # whoever deleted the last file of the folder took that with it
        _write_beside(target, data)


def _write_beside(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{uuid.uuid4().hex}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def sha256(data: bytes) -> str:
    """Return the checksum of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
