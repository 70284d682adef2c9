"""Files that are far more than they seem: refused before they take the memory that they ask for."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

MB = 10**6
ROWS = 7777


def gzip_bomb() -> bytes:
    """400 kB that unpack to 300 MB of a CSV, in as many members."""
    member = gzip.compress(b"1,2\n" * (MB // 4), mtime=0)
    return gzip.compress(b"a,b\n", mtime=0) + 300 * member


def zip_bomb() -> bytes:
    """An npz of 60 kB whose array has 60 MB of zeros, as it says."""
    shape = {"descr": "<f8", "fortran_order": False, "shape": (7_500, 1_000)}
    header, archive = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("X.npy", "w") as member:
            member.write(header.getvalue())
            for _ in range(60):
                member.write(bytes(MB))
        np.lib.format.write_array(header := io.BytesIO(), np.zeros(7_500))
        file.writestr("y.npy", header.getvalue())
    return archive.getvalue()


def lying_zip_bomb() -> bytes:
    """The same, whose directory says that the array has a thousand bytes."""
    return zip_bomb().replace(struct.pack("<I", 60 * MB + 128), struct.pack("<I", 1000))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (gzip_bomb, "unpacks to more than 20,000,000 bytes"),
        (zip_bomb, "unpacks to too many bytes at X.npy"),
        (lying_zip_bomb, "array X should have 60,000,000 bytes|broken npz"),
    ],
)
def test_a_bomb_is_refused_and_does_not_go_off(
    tmp_path: Path, make: Callable[[], bytes], said: str
) -> None:
    (tmp_path / "bomb").write_bytes(make())
    tracemalloc.start()
    with pytest.raises(InvalidInput, match=said):
        read_upload(tmp_path / "bomb", None, Settings(max_upload_bytes=20 * MB))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100 * MB


def test_a_million_columns_are_too_many(tmp_path: Path) -> None:
    names = ",".join(f"c{place}" for place in range(MB))
    (tmp_path / "wide").write_text(f"{names}\n{',' * (MB - 1)}\n")
    with pytest.raises(InvalidInput, match="columns; at most 20,000"):
        read_upload(tmp_path / "wide", None, Settings())


# --- Parquet ----------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """Write a number as a footer has it (Thrift's compact protocol: zigzag, seven bits a byte)."""
    value, found = 2 * value, b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def lying(rows: int, places: int = -1) -> bytes:
    """A Parquet file of 7,777 rows whose footer says otherwise, in the first places or in all."""
    buffer = io.BytesIO()
    table = pa.table({name: np.arange(float(ROWS)) for name in "ab"})
    pq.write_table(table, buffer, compression="none", store_schema=False, write_statistics=False)
    data = buffer.getvalue()
    start = len(data) - 8 - struct.unpack("<I", data[-8:-4])[0]
    footer = data[start:-8]
    assert footer.count(varint(ROWS)) >= 4  # of the file first; of columns and a group of rows
    footer = footer.replace(varint(ROWS), varint(rows), places)
    return data[:start] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def footer_without_end() -> bytes:
    return b"PAR1" + bytes(50) + struct.pack("<I", 2**32 - 1) + b"PAR1"


LARGE = (2**31, 2**40, 2**62)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (footer_without_end, "is a broken Parquet file"),
        *((partial(lying, rows), "rows; at most 5,000,000") for rows in LARGE),
        *((partial(lying, 2**40, places), "rows; at most 5,000,000") for places in (1, 2, 3)),
        *((partial(lying, 0, places), "has no rows") for places in (-1, 1, 2, 3)),
    ],
)
def test_a_footer_that_lies_is_found_out(
    tmp_path: Path, make: Callable[[], bytes], said: str
) -> None:
    (tmp_path / "file").write_bytes(make())
    with pytest.raises(InvalidInput, match=said):
        read_upload(tmp_path / "file", None, Settings())


@pytest.mark.parametrize("places", [1, 2, 3])
def test_a_footer_that_says_too_little_lets_no_more_in(tmp_path: Path, places: int) -> None:
    """What is read is counted too."""
    (tmp_path / "file").write_bytes(lying(3, places))
    with pytest.raises(InvalidInput, match="column 'a' has 7,777 rows, the file 3"):
        read_upload(tmp_path / "file", None, Settings(max_rows=1000))
