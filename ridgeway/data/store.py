"""The store of bytes: data sets, models and reports, under keys that Ridgeway makes.

A folder by default, any fsspec URL where there are many machines (`s3://bucket/folder`).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import fsspec  # pyright: ignore[reportMissingTypeStubs] - it ships none
from fsspec.implementations.local import (  # pyright: ignore[reportMissingTypeStubs]
    LocalFileSystem,
)

from ridgeway.errors import InvalidInput, NotFound
from ridgeway.settings import Settings

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")


class Store:
    """Bytes by key. A key's bytes appear whole or not at all."""

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
        if not isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(path, data)  # object stores show an object when it is complete
            return sha256(data)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{uuid.uuid4().hex}")
        try:
            unfinished.write_bytes(data)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        return sha256(data)

    def get(self, key: str) -> bytes:
        """Read the bytes under the key; NotFound where there are none."""
        try:
            return self._files.cat_file(self._path(key))
        except FileNotFoundError:
            raise NotFound(f"The store holds no '{key}'.") from None

    def open(self, key: str) -> IO[bytes]:
        """Open the bytes under the key as a file to read; NotFound where there are none."""
        try:
            return self._files.open(self._path(key), "rb")
        except FileNotFoundError:
            raise NotFound(f"The store holds no '{key}'.") from None

    def exists(self, key: str) -> bool:
        """Return True where there are bytes under the key."""
        return bool(self._files.isfile(self._path(key)))

    def delete(self, key: str) -> None:
        """Forget the bytes under the key, if there are any."""
        with suppress(FileNotFoundError):
            self._files.rm_file(self._path(key))

    def _path(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise ValueError(f"no key of the store: {key!r}; accepted: a-z 0-9 . _ - and /")
        return f"{self._root}/{key}"


def sha256(data: bytes) -> str:
    """Return the checksum of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
