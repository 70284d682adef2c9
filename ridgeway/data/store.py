"""The store of bytes: data sets, models and reports, under keys that Ridgeway makes.

A folder by default, any fsspec URL where there are many machines (`s3://bucket/folder`).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import fsspec  # pyright: ignore[reportMissingTypeStubs] - it ships none
from fsspec.implementations.local import (  # pyright: ignore[reportMissingTypeStubs]
    LocalFileSystem,
)

from ridgeway.errors import InvalidInput, NotFound, StoreAway
from ridgeway.settings import Settings

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")


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
        """Forget the bytes under the key, if there are any."""
        path = self._path(key)
        with suppress(NotFound), _reaching("delete", key):
            self._files.rm_file(path)

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


def _write_whole(target: Path, data: bytes) -> None:
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
