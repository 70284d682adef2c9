"""The archive of a backup: one tar file of the database, the store's files, and a manifest.

    manifest.json     what is in it: release, schema, kind of database, each file with its checksum
    database          SQLite's file, or what pg_dump writes
    store/KEY         a file of the store under its key

Nothing is ever extracted by the names in an archive: the database's bytes go where they are asked
for, the store's files through the store, which refuses keys that are none.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from ridgeway.errors import InvalidInput

Kind: TypeAlias = Literal["sqlite", "postgresql"]

FORMAT: Literal[1] = 1
MANIFEST, DATABASE, STORE = "manifest.json", "database", "store/"
MOST_MANIFEST_BYTES = 256 * 2**20  # 200 for each file
PIECE_BYTES = 2**20


class Kept(BaseModel):
    """A file of the archive."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What an archive holds, and what wrote it."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    release: str
    revision: str  # of our tables
    kind: Kind
    created_at: float  # seconds since 1970, by the database's clock
    files: list[Kept]
    missing: list[str]  # keys of the store that the database names and the store did not have


class Writer:
    """Writes an archive, file by file; the manifest comes last."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self.files: list[Kept] = []

    def add_file(self, name: str, path: Path) -> None:
        """Add a file's bytes under a name."""
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._write(name, file, size)
        self.files.append(Kept(name=name, bytes=size, sha256=digest))

    def _write(self, name: str, file: IO[bytes], size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        self._tar.addfile(entry, file)

    def close(self, manifest: Manifest) -> None:
        """Add the manifest, and end the archive."""
        data = manifest.model_dump_json().encode()
        self._write(MANIFEST, io.BytesIO(data), len(data))
        self._tar.close()


class Reader:
    """Reads an archive; InvalidInput for a file that is none, or is damaged."""

    @classmethod
    @contextmanager
    def of(cls, path: Path) -> Generator[Self]:
        """Open an archive, and close it after the block."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise InvalidInput.of("FILE", str(path), error.strerror or str(error)) from None
        with file:
            yield cls(path, file)

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        try:
            self._tar = tarfile.TarFile(fileobj=file, mode="r")
            entries = self._tar.getmembers()
        except (OSError, tarfile.TarError) as error:
            raise self._refusal(f"is no archive of `ridgeway backup`: {error}") from None
        self._entries: Mapping[str, tarfile.TarInfo] = {each.name: each for each in entries}
        if len(self._entries) != len(entries) or not all(each.isreg() for each in entries):
            raise self._refusal("holds other things than files, each once: no backup of ours")
        self.manifest = self._read_manifest()

    def _read_manifest(self) -> Manifest:
        entry = self._entries.get(MANIFEST)
        if entry is None or entry.size > MOST_MANIFEST_BYTES:
            raise self._refusal("has no manifest: it is no whole backup")
        try:
            found = Manifest.model_validate_json(self._open(MANIFEST).read())
        except ValidationError:
            raise self._refusal("has a manifest that this release can't read") from None
        listed = {each.name for each in found.files}
        if listed | {MANIFEST} != {*self._entries} or len(listed) != len(found.files):
            raise self._refusal("does not hold the files that its manifest tells of")
        if DATABASE not in listed:
            raise self._refusal("holds no database")
        return found

    def check(self) -> None:
        """Read the archive to its end; InvalidInput unless every byte is as it was written."""
        for kept in self.manifest.files:
            digest = hashlib.sha256()
            for piece in self._pieces(kept.name):
                digest.update(piece)
            if digest.hexdigest() != kept.sha256 or self._entries[kept.name].size != kept.bytes:
                raise self._refusal(f"is damaged: {kept.name} is not what was written")

    def store_keys(self) -> Iterator[str]:
        """Yield the keys of the store's files."""
        for kept in self.manifest.files:
            if kept.name != DATABASE:
                if not kept.name.startswith(STORE):
                    raise self._refusal(f"holds {kept.name!r}, which is no file of a backup")
                yield kept.name.removeprefix(STORE)

    def write_kept(self, key: str, path: Path) -> None:
        """Write the bytes of a file of the store into a file."""
        self._write(f"{STORE}{key}", path)

    def write_database(self, path: Path) -> None:
        """Write the database's bytes into a file."""
        self._write(DATABASE, path)

    def _write(self, name: str, path: Path) -> None:
        with path.open("wb") as file:
            for piece in self._pieces(name):
                file.write(piece)

    def _pieces(self, name: str) -> Iterator[bytes]:
        file = self._open(name)
        try:
            while piece := file.read(PIECE_BYTES):
                yield piece
        except tarfile.ReadError as error:
            raise self._refusal(f"is damaged: {error}") from None

    def _open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._entries[name])
        assert file is not None, "it is a regular file"
        return file

    def _refusal(self, message: str) -> InvalidInput:
        return InvalidInput.of("FILE", str(self._path), message)
