"""The calls of a client on data sets."""

from __future__ import annotations

from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote

import httpx

from ridgeway.client.frames import name_of, parquet_of
from ridgeway.client.pictures import Plots
from ridgeway.client.sending import opened
from ridgeway.data.headers import Header
from ridgeway.errors import InvalidInput
from ridgeway.views import Dataset, DatasetPage, DatasetSummary

Table: TypeAlias = Any  # pandas', polars' or pyarrow's

UPLOAD_SECONDS = 600.0  # a large file is read and profiled before the service answers,
SECONDS_PER_BYTE = 2e-6  # or more for one that is larger than by default


class Datasets(Plots):
    """The calls of a client that bring data sets, look at them, and take them away."""

    def datasets(self) -> list[DatasetSummary]:
        """List every data set that jobs can name."""
        pages = self._pages("/v1/datasets", DatasetPage)
        return [dataset for page in pages for dataset in page.datasets]

    def dataset(self, name_or_id: str, rows: int = 0) -> Dataset:
        """Return one data set with the profile of every column, and its first `rows`, up to 100."""
        return self._read(self._get(_path_of(name_or_id), rows=rows or None), Dataset)

    def add_dataset(
        self,
        source: Path | str | BinaryIO | Table,
        name: str | None = None,
        header: Header = "auto",
    ) -> Dataset:
        """Upload a CSV (gzip too), Parquet or npz file under a name, or a table with or without.

        A table's own name is made of what it holds: the same table again is the same data set.
        A file may be a path, or open to be read: a pipe too. header: of a CSV, whether its first
        row holds names. The answer tells what is made of each column.
        """
        if not isinstance(source, Path | str) and not hasattr(source, "read"):
            data = parquet_of(source, "dataset")
            return self._upload(data, name or name_of(data))
        if name is None:
            raise InvalidInput.of("name", None, "must be given for a file: jobs name it so")
        with opened(source) as file:
            return self._upload(file, name, header)

    def _upload(self, content: bytes | BinaryIO, name: str, header: Header = "auto") -> Dataset:
        seconds = max(UPLOAD_SECONDS, SECONDS_PER_BYTE * _size_of(content))
        response = self._call(
            "POST",
            "/v1/datasets",
            params={"name": name, **({} if header == "auto" else {"header": header})},
            headers={"Content-Type": "application/octet-stream"},
            content=content,
            timeout=httpx.Timeout(seconds, connect=self._http.timeout.connect),
        )
        return self._read(response, Dataset)

    def rename_dataset(self, name_or_id: str, name: str) -> Dataset:
        """Give an upload another name; its jobs go on. Conflict where the name is taken."""
        response = self._call("PATCH", _path_of(name_or_id), json={"name": name})
        return self._read(response, Dataset)

    def delete_dataset(self, name_or_id: str) -> None:
        """Delete an upload; Conflict while jobs that have not ended use it."""
        self._call("DELETE", _path_of(name_or_id))


def _size_of(content: bytes | BinaryIO) -> int:
    """Return how many bytes are to be sent; a file stays where it is."""
    if isinstance(content, bytes):
        return len(content)
    place = content.tell()
    size = content.seek(0, SEEK_END) - place
    content.seek(place)
    return size


def _path_of(name_or_id: str) -> str:
    return f"/v1/datasets/{quote(name_or_id, safe='')}"
