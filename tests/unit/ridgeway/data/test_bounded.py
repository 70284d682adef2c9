"""A file that is read by small pieces gives the table and the profile that it gives in one."""

from __future__ import annotations

import errno
import gzip
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ridgeway.data import aside, csv_files, tables, uploads
from ridgeway.data.judging import judged_profile
from ridgeway.data.notes import notes_of
from ridgeway.data.tables import from_parquet, to_parquet
from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput, StoreAway
from ridgeway.settings import Settings
from ridgeway.texts import encodings

CELLS = (
    st.sampled_from(["", "NA", "?", "-", " "]),
    st.sampled_from(["1.234,5", "1,234.5", "1'000", "$5", "12 %", "(7)", "1,234"]),
    st.sampled_from(["2024-05-01", "2024-05-01T12:30Z", "01/05/2024", "31.12.2023", "1 May 2024"]),
    st.sampled_from(["true", "False", "yes", "007", "12345678901234567", "9007199254740993"]),
    st.sampled_from(["a,b", 'say "so"', "two\nrows", "naïve", "€", "x" * 70]),
    st.integers(-3, 3).map(str),
    st.floats(-1e6, 1e6).map(repr),
)
KINDS = [*CELLS, st.just(""), st.one_of(*CELLS)]
TYPED = [
    st.floats(allow_infinity=False, max_value=1e9, min_value=-1e9),
    st.integers(-(2**62), 2**62),
    st.integers(0, 3),
    st.booleans(),
    st.datetimes(),
    st.dates(),
    st.none(),
    st.sampled_from(["1.234,5", "2,5", "--"]),
    st.sampled_from(["b", "a", "2024-05-01", "31/12/2024", "naïve"]),
]
FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def columns(draw: st.DrawFn, kinds: list[st.SearchStrategy], *, gaps: bool) -> list[list]:
    """Return columns of one length, each of a kind of its own."""
    rows = draw(st.integers(1, 30))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=5))
    cells = [st.none() | kind if gaps else kind for kind in chosen]
    return [draw(st.lists(cell, min_size=rows, max_size=rows)) for cell in cells]


def outcome(path: Path) -> tuple:
    """Return the table and profile of a file, or what is said against it."""
    try:
        table = read_upload(path, None, Settings())
    except InvalidInput as error:
        return (str(error),)
    profile = judged_profile(table)
    assert judged_profile(from_parquet(to_parquet(table))) == profile
    # NaN, which equals nothing, is in no canonical table.
    return table.to_pydict(), table.schema, notes_of(table), profile


def outcomes(path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> tuple[tuple, tuple]:
    """Return what a file gives as a whole, and in small pieces."""
    whole = outcome(path)
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "PART_BYTES", 1)
        patched.setattr(csv_files, "BLOCK", block)
        patched.setattr(csv_files, "PER_COLUMN", 0)
        patched.setattr(encodings, "BLOCK", 7)
        return whole, outcome(path)


@FEW
@given(columns(TYPED, gaps=True), st.integers(1, 9))
def test_parquet_column_by_column(tmp_path, monkeypatch, drawn, group):
    named = {f"{'a.' * place}a": pa.array(values) for place, values in enumerate(drawn)}
    pq.write_table(pa.table(named), tmp_path / "file", row_group_size=group)
    whole, pieces = outcomes(tmp_path / "file", monkeypatch, 1)
    assert whole == pieces


def test_a_parquet_column_that_has_fewer_rows_than_the_others(tmp_path, monkeypatch):
    made = pa.table({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0]})
    pq.write_table(made, tmp_path / "file", compression="none", use_dictionary=False)
    count = b",\x15\x06"  # of the values of a page, by which only `b` is told to have two
    before, a, b = (tmp_path / "file").read_bytes().split(count, 2)
    (tmp_path / "file").write_bytes(before + count + a + b",\x15\x04" + b)
    whole, pieces = outcomes(tmp_path / "file", monkeypatch, 1)
    assert "is a broken Parquet file" in whole[0]
    assert pieces == ("file: is a broken Parquet file: column 'b' has 2 rows, the file 3",)


@FEW
@given(
    columns(KINDS, gaps=False),
    st.sampled_from([";", ",", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.booleans(),
    st.booleans(),
)
def test_csv_block_by_block(tmp_path, monkeypatch, drawn, delimiter, encoding, headed, zipped):
    import csv

    text = io.StringIO(newline="")
    rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if headed:
        rows.writerow([f"name {place}" for place in range(len(drawn))])
    rows.writerows(zip(*drawn, strict=True))
    data = text.getvalue().encode(encoding)
    (tmp_path / "file").write_bytes(gzip.compress(data) if zipped else data)
    whole, pieces = outcomes(tmp_path / "file", monkeypatch, 1000)
    assert whole == pieces


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a,b\n" + b"1,2\n" * 600 + b"3\n" + b"1,2\n" * 600, "row 602 has 1 value, the header 2"),
        (b"a,b\n" + b"1,2\n" * 600 + b'3,"' + b"1,2\n" * 600, "is a quote opened and never closed"),
        (
            b"a,b\n1," + b"x" * 1001 + b"\n" + b"1,2\n" * 600 + b"3\n",
            "column 'b', row 2: a text of",
        ),
        (b"a,b\n" + b"1,2\n" * 600 + b"1," + b" " * 1001 + b"2\n" + b"3\n", "row 603 has 1 value"),
        (b"a,b\n" + b"1,2\n" * 600 + b"3,\x00\n", "row 602: met a NUL byte"),
        (b"a,b\n" + b"1,2\n" * 600 + b"\x81,2\n", "row 602: byte 0x81 is not UTF-8, and byte"),
        (b"a,b\n" + b"1,2\n" * 600 + b"2,\xe2\x82", "was read as Windows-1252"),
        ("a,b\n1,2\n".encode("utf-16") + b"\x00\xd8", "is broken UTF-16"),
    ],
)
def test_what_is_wrong_far_down_is_told_by_its_row(tmp_path, monkeypatch, data, said):
    (tmp_path / "file").write_bytes(data)
    _, pieces = outcomes(tmp_path / "file", monkeypatch, 1000)
    assert said in str(pieces)


def test_a_row_that_is_too_long_is_told_with_the_limit_and_its_place(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"a,b\n" + b"1,2\n" * 2000 + b'3,"' + b"1,2\n" * 2000)
    _, pieces = outcomes(tmp_path / "file", monkeypatch, 1000)
    told = re.search(r"a row after row (\d+) has more than 1,000 bytes; is a quote", str(pieces))
    assert told is not None
    assert 1000 < int(told[1]) < 2002


def test_a_column_of_more_text_than_arrow_counts_is_refused_by_its_name(tmp_path, monkeypatch):
    rows = 2_200_000  # of one text, which would decode to 2.2 GB
    said = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * 1000])
    path = tmp_path / "file"
    pq.write_table(pa.table({"a": np.zeros(rows), "said": said}), path)
    ample = Settings(data=tmp_path, max_upload_bytes=2**32)
    refused = "column 'said' holds too much text; at most 2,000,000,000 bytes are possible"
    with pytest.raises(InvalidInput, match=refused):
        read_upload(path, None, ample)

    def too_many(*_: object, **__: object) -> None:
        raise pa.ArrowCapacityError("array cannot contain more than 2147483646 bytes")

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetFile, "read", too_many)
        with pytest.raises(InvalidInput, match="column 'a' holds too much text"):
            read_upload(path, None, ample)
    monkeypatch.setattr(tables, "MAX_TEXTS", 1000)
    path.write_text("a,said\n" + "1,two words\n" * 200)
    with pytest.raises(InvalidInput, match="column 'said' holds too much text; at most 1,000"):
        read_upload(path, None, ample)
    large = pa.array(["two words"] * 200, pa.large_string())
    pq.write_table(pa.table({"a": np.zeros(200), "said": large}), path)
    with pytest.raises(InvalidInput, match="column 'said' holds too much text; at most 1,000"):
        read_upload(path, None, ample)


def test_a_disk_without_room_is_no_fault_of_the_file(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file").write_bytes(b"a,b\n1,2\n")
    monkeypatch.setattr(aside.tempfile, "TemporaryFile", Full)
    with pytest.raises(StoreAway, match="temporary folder has no room"):
        read_upload(tmp_path / "file", None, Settings())


LIMITED = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from ridgeway.data import uploads
from ridgeway.data.judging import judged_profile
from ridgeway.data.tables import write_parquet
from ridgeway.settings import Settings
folder, room, uploads.PART_BYTES = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
pa.set_memory_pool(pa.system_memory_pool())
lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
taken = next(1024 * int(line[1]) for line in lines if line[0] == "VmData:")
resource.setrlimit(resource.RLIMIT_DATA, (taken + room, taken + room))
table = uploads.read_upload(folder / "file", None, Settings())
print(judged_profile(table).rows)
write_parquet(table, folder / "made")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems limit no memory of data")
def test_a_table_that_is_larger_than_the_memory_for_it(tmp_path: Path) -> None:
    values = pa.array(np.random.default_rng(0).integers(0, 9, 60_000).astype(np.int8))
    table = pa.table({f"x{place}": values for place in range(250)})  # 120 MB of 8 bytes a cell
    pq.write_table(table, tmp_path / "file")
    for part, ended in ((uploads.PART_BYTES // 4, True), (2**40, False)):
        argv = [sys.executable, "-c", LIMITED, str(tmp_path), str(90 * 2**20), str(part)]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert (done.stdout == "60000\n" and done.returncode == 0) is ended, done.stderr
    assert pq.read_metadata(tmp_path / "made").num_columns == 250
