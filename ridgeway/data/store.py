"""The store of bytes: data sets, models and reports, under keys that Ridgeway makes.

A folder by default, any fsspec URL where there are many machines (`s3://bucket/folder`). Whoever
needs a file on this machine's own disk asks for it with its checksum:

    with store.local("datasets/1f3a.parquet", "1f3a") as path:
        table = pq.read_table(path, memory_map=True)

In a folder that is the file itself, of any other store a copy in this machine's cache.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tempfile
import uuid
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import fsspec  # pyright: ignore[reportMissingTypeStubs] - it ships none
from fsspec.implementations.local import (  # pyright: ignore[reportMissingTypeStubs]
    LocalFileSystem,
)

from ridgeway.data import folder, s3
from ridgeway.data.cache import Cache, Source, checksum_of
from ridgeway.errors import NO_ROOM, InvalidInput, NotFound, StoreAway, StoreDamaged
from ridgeway.settings import Settings

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")
_UNFINISHED = re.compile(rf"({_KEY.pattern}/)?\.[0-9a-f]{{32}}")  # of a writer at work, or dead
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")  # in fsspec's dialects

log = logging.getLogger(__name__)


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

    StoreAway where the store does not answer, has no room, or lets nobody in; StoreDamaged where
    bytes are asked for by their checksum, and are others. cache: of this machine, for copies.
    """

    def __init__(self, url: str, cache: Cache | None = None) -> None:
        self._is_s3 = s3.is_s3(url)
        options = s3.options(url) if self._is_s3 else {}
        try:
            located: tuple[Any, str] = fsspec.core.url_to_fs(url, **options)  # pyright: ignore
        except (ValueError, ImportError, TypeError, OSError) as error:
            # The URL itself may hold a password: only its protocol is repeated.
            protocol = url.partition(":")[0]
            message = f"is no URL that fsspec can open: {error}"
            if self._is_s3:
                message = "needs s3fs, which is not installed; run: pip install 'ridgeway[s3]'"
            raise InvalidInput.of("RIDGEWAY_STORE_URL", protocol, message) from None
        self._files, self._root = located
        self._is_folder = isinstance(self._files, LocalFileSystem)
        self._cache = cache

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """Open the store that the settings name; nothing is asked of it yet."""
        cache = Cache(settings.resolved_cache(), settings.cache_bytes)
        return cls(settings.resolved_store_url(), cache)

    def require_open(self) -> None:
        """Raise InvalidInput where the store lets nobody in and waiting would not help.

        One that does not answer now is told to the log: whoever needs it waits for it.
        """
        if not self._is_s3:
            return
        try:
            s3.require_open(self._files, self._root)
        except Exception as error:  # its library's own, and aiohttp's
            found = s3.meaning(error)
            if found is not None and not found.passes:
                raise InvalidInput.of("RIDGEWAY_STORE_URL", "s3", found.words) from None
            log.warning("%s", _why("list", "jobs", error))

    def require_cache(self) -> None:
        """Raise InvalidInput where copies are needed, and this machine can't keep them."""
        if self._is_folder or self._cache is None:
            return
        try:
            self._cache.require_writable()
        except OSError as error:
            message = f"can't be written: {error.strerror or error}; name another folder"
            raise InvalidInput.of("RIDGEWAY_CACHE", str(error.filename), message) from None

    def put(self, key: str, data: bytes) -> str:
        """Keep the bytes under the key, in place of what was there; return their sha256."""
        path = self._path(key)
        with _reaching("write", key):
            if self._is_folder:
                folder.write_bytes(Path(path), data)
            else:
                self._files.pipe_file(path, data, **self._parts(len(data)))
        return sha256(data)

    def put_file(self, key: str, source: Path) -> None:
        """Keep a file's bytes under the key; a large one is never in memory as a whole."""
        path = self._path(key)
        with _reaching("write", key):
            if self._is_folder:
                folder.copy_file(source, Path(path))
            else:
                self._files.put_file(str(source), path, **self._parts(source.stat().st_size))

    def _parts(self, size: int) -> dict[str, int]:
        """Return how a file of this size is sent: an object shows when it is complete."""
        return {"chunksize": s3.part_bytes(size)} if self._is_s3 else {}

    def get(self, key: str, checksum: str | None = None) -> bytes:
        """Read the bytes under the key, of that checksum; NotFound where there are none."""
        path = self._path(key)
        with _reaching("read", key):
            data: bytes = self._files.cat_file(path)
        if checksum is not None and sha256(data) != checksum:
            raise StoreDamaged.of(key)
        return data

    def open(self, key: str) -> IO[bytes]:
        """Open the bytes under the key as a file to read; NotFound where there are none."""
        path = self._path(key)
        with _reaching("read", key):
            return self._files.open(path, "rb")

    def open_whole(self, key: str, checksum: str) -> IO[bytes]:
        """Open the bytes under the key, once all have been read and found to have that checksum.

        Where the store is elsewhere this opens a copy, which goes when it is closed.
        """
        file = self.open(key) if self._is_folder else self._copy(key)
        try:
            with _reaching("read", key):
                found = hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore
            if found != checksum:
                raise StoreDamaged.of(key)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    @contextmanager
    def copied(self, key: str) -> Generator[Path]:
        """Yield a file with the key's bytes: a folder's own, else a copy that goes afterwards."""
        if self._is_folder:
            with _reaching("read", key), Path(self._path(key)).open("rb"):
                pass
            yield Path(self._path(key))
            return
        with self._copy(key) as file:
            yield Path(file.name)

    @contextmanager
    def local(self, key: str, checksum: str) -> Generator[Path]:
        """Yield a file of this machine with the key's bytes, all of them, of that checksum.

        It stays as it is until the block ends: the store's own in a folder, else one in the cache,
        fetched once for all processes of the machine. NotFound where there are no such bytes.
        """
        self._require_folder(key)
        if self._is_folder or self._cache is None:
            with self.copied(key) as path:
                with _reaching("read", key):
                    found = checksum_of(path)
                if found != checksum:
                    raise StoreDamaged.of(key)
                yield path
            return
        source = Source(key, checksum, lambda: self._size(key), lambda to: self._fetch(key, to))
        with self._cache.held(source) as path:
            yield path

    def _require_folder(self, key: str) -> None:
        """Raise StoreAway where the store's folder is not there, as where a mount is missing."""
        with _reaching("read", key):
            is_there = not self._is_folder or Path(self._root).is_dir()
        if not is_there:
            told = f"The store can't read '{key}': its folder is not there."
            raise StoreAway(told, key, reading=True)

    def copies(self) -> frozenset[str]:
        """Return the checksums of the files that `local` needs no store for; none in a folder."""
        if self._is_folder or self._cache is None:
            return frozenset()
        return self._cache.checksums()

    def _copy(self, key: str) -> IO[bytes]:
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="ridgeway-"))
            self._fetch(key, Path(file.name))
            stack.pop_all()
        return file  # pyright: ignore[reportReturnType] - a wrapper of a file

    def _fetch(self, key: str, target: Path) -> None:
        path = self._path(key)
        with _reaching("read", key):
            self._files.get_file(path, str(target))

    def _size(self, key: str) -> int:
        path = self._path(key)
        with _reaching("read", key):
            return int(self._files.size(path))

    def exists(self, key: str) -> bool:
        """Return True where there are bytes under the key."""
        self._require_folder(key)
        path = self._path(key)
        with suppress(NotFound), _reaching("read", key):
            return self._files.info(path)["type"] == "file"
        return False

    def probe(self, key: str) -> None:
        """Raise StoreAway unless the store takes a few bytes beside the key and gives them back.

        They have the name of an unfinished file, which is deleted in time should we die meanwhile.
        """
        self._require_folder(key)  # or the probe would make it, where a mount is missing
        beside = f"{key.rpartition('/')[0]}/.{uuid.uuid4().hex}".lstrip("/")
        path = f"{self._root}/{beside}"
        try:
            with _reaching("write", beside):
                if self._is_folder:
                    folder.write_bytes(Path(path), b"probe")
                else:
                    self._files.pipe_file(path, b"probe")
            with _reaching("read", beside):
                found: bytes = self._files.cat_file(path)
        except NotFound as error:
            raise StoreAway(str(error), key) from None
        finally:
            with suppress(StoreAway):
                self.delete(beside)
        if found != b"probe":
            raise StoreDamaged.of(beside)

    def delete(self, key: str) -> None:
        """Forget the bytes under the key, if there are any, or an entry that is unfinished."""
        path = f"{self._root}/{key}" if _UNFINISHED.fullmatch(key) else self._path(key)
        with suppress(NotFound), _reaching("delete", key):
            self._files.rm_file(path)
        if self._is_folder:
            folder.remove_empty(Path(path).parent, Path(self._root))

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

    def uploads(self) -> list[s3.Upload]:
        """List the uploads in parts that have not ended, which `entries` can't show."""
        if not self._is_s3:
            return []
        with _reaching("list", "uploads"):
            return s3.uploads(self._files, self._root)

    def abort(self, upload: s3.Upload) -> None:
        """Give up an upload in parts, whose process has died."""
        with suppress(NotFound), _reaching("delete", "uploads"):
            s3.abort(self._files, upload)

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
        if verb == "write" or s3.meaning(error):  # a folder, or a bucket, that went away
            raise StoreAway(_why(verb, key, error), key, reading=verb == "read") from error
        raise NotFound(f"The store holds no '{key}'.") from None
    except MemoryError:
        raise
    except Exception as error:  # each kind of store has errors of its own
        ours = isinstance(error, OSError) and error.errno in NO_ROOM  # this machine's own copies
        reading = verb == "read" and not ours
        raise StoreAway(_why(verb, key, error), key, reading=reading) from error


def _why(verb: str, key: str, error: Exception) -> str:
    if (found := s3.meaning(error)) is not None:
        return f"The store can't {verb} '{key}': {found.words}."
    # The whole text names a path of this machine, or a bucket.
    said = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
    return f"The store can't {verb} '{key}': {said}."


def _modified(info: Mapping[str, Any]) -> float | None:
    told = next((info[name] for name in _TIMES if name in info), None)
    if isinstance(told, datetime):
        return told.timestamp()
    return float(told) if isinstance(told, int | float) else None


def sha256(data: bytes) -> str:
    """Return the checksum of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
