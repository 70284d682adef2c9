"""Files that people bring: what is read, and where a broken one is said to be broken."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

Read = Callable[..., Any]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read bytes as an upload; keyword arguments are settings."""

    def read_bytes(data: bytes, name: str | None = None, **limits: int) -> Any:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return read_upload(path, name, Settings(**limits))  # pyright: ignore[reportArgumentType]

    return read_bytes


def refusal(read: Read, data: bytes, **limits: int) -> str:
    with pytest.raises(InvalidInput) as refused:
        read(data, **limits)
    (error,) = refused.value.errors
    assert error.field == "file"
    return error.message


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


# --- what is read -----------------------------------------------------------------------------

CSV = b"age,city,y\n31,Oslo,0\n,Rome,1\n40.5,,0\n"
ROWS = {"age": [31.0, None, 40.5], "city": ["Oslo", "Rome", None], "y": [0.0, 1.0, 0.0]}


@pytest.mark.parametrize(
    "data",
    [
        CSV,
        b"\xef\xbb\xbf" + CSV,
        CSV.replace(b"\n", b"\r\n"),
        CSV.replace(b"\n", b"\r"),
        CSV.replace(b",", b"\t"),
        CSV.replace(b",", b";"),
        CSV.replace(b",", b";").replace(b".", b","),
        CSV.rstrip(),
        CSV + b"\n\n",
        CSV.replace(b"age,", b" age ,").replace(b"31", b" 31 "),
        CSV.replace(b"Oslo", b'"Oslo"'),
        CSV.replace(b"\n,", b"\nNA,").replace(b"40.5,,", b"40.5,?,"),
        gzip.compress(CSV, mtime=0),
        gzip.compress(CSV[:20], mtime=0) + gzip.compress(CSV[20:], mtime=0),
        parquet(age=[31, None, 40.5], city=["Oslo", "Rome", None], y=[0, 1, 0]),
        parquet(
            age=pa.array([31, None, 40.5], pa.float32()),
            city=pa.array(["Oslo", "Rome", None]).dictionary_encode(),
            y=pa.array([0, 1, 0], pa.uint8()),
        ),
    ],
)
def test_every_format_gives_the_same_table(read: Read, data: bytes) -> None:
    assert read(data).to_pydict() == ROWS


def test_npz_gives_the_columns_of_x_and_the_target_last(read: Read) -> None:
    inputs = np.asfortranarray(np.array([[1, 2], [3, 4], [5, np.nan]], ">f4"))
    table = read(npz(X=inputs, y=np.array(["a", "b", "a"])), "data.npz")
    assert table.to_pydict() == {"x0": [1, 3, 5], "x1": [2, 4, None], "target": ["a", "b", "a"]}
    named = read(npz(X=inputs, y=np.array([1, 0, 1]), feature_names=np.array(["é", "b"])))
    assert named.column_names == ["é", "b", "target"]


def test_npz_booleans_are_numbers_in_x_and_classes_in_y(read: Read) -> None:
    table = read(npz(X=np.array([[True], [False]]), y=np.array([True, False])))
    assert table.to_pydict() == {"x0": [1, 0], "target": ["true", "false"]}


def test_text_stays_text_and_a_quoted_delimiter_is_no_delimiter(read: Read) -> None:
    table = read(b'name,y\n"a,b\n""c""",1\n0x10,2\n')
    assert table.column("name").to_pylist() == ['a,b\n"c"', "0x10"]


def test_identifiers_beyond_doubles_stay_apart(read: Read) -> None:
    ids = [2**60, 2**60 + 1]
    assert read(parquet(i=ids, y=[0, 1])).column("i").to_pylist() == [str(i) for i in ids]
    csv = f"i,y\n{ids[0]},0\n{ids[1]},1\n".encode()
    assert read(csv).column("i").to_pylist() == [str(i) for i in ids]


def test_a_columns_kind_is_told_from_all_of_its_rows(read: Read) -> None:
    few = b"x,y\n" + b"1,0\n2,1\n" * 50_000 + b"three,0\n"
    assert read(few).column("x").type == pa.string()


def test_minus_zero_is_zero(read: Read) -> None:
    assert str(read(b"x,y\n-0.0,1\n0,2\n").column("x").unique().to_pylist()) == "[0.0]"


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(-1e30, 1e30),
            st.none()
            | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=9),
        ),
        min_size=1,
        max_size=9,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_parquet_round_trips_numbers_and_texts(
    read: Read, rows: list[tuple[float | None, str | None]]
) -> None:
    numbers, texts = [row[0] for row in rows], [row[1] for row in rows]
    data = parquet(n=pa.array(numbers, pa.float64()), t=pa.array(texts, pa.string()))
    assert read(data).to_pydict() == {"n": numbers, "t": texts}


# --- where it is broken -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a,b\n", "has no rows"),
        (b"a,b,c\n1,2,3\n1,2\n", "row 3 has 2 values, the header 3"),
        (b"a,b\n1,2\n3,4,5\n", "row 3 has 3 values, the header 2"),
        (b"a,b\n1,2\n\x81,3\n", "row 3: byte 0x81 is not UTF-8, and byte 0x81 is none of"),
        (b"a,b\n1,2\n\xff,\x00\n", "row 3: byte 0xff is not UTF-8, and there is a NUL byte"),
        (b"a,b\n1,\x00\n", "row 2: met a NUL byte"),
        (b"a,a\n1,2\n", "columns 1 and 2 are both called 'a'"),
        (b"a, a\n1,2\n", "columns 1 and 2 are both called 'a'"),
        (b",a,b\n0,1,2\n", "column 1 has no name (an index?"),
        (b"a,,b\n0,1,2\n", "column 2 has no name"),
        (b"a\n1\n2\n", "no comma, semicolon or tab"),
        (b"a,b\n1,2\n3,inf\n", "column 'b', row 3: inf is infinite"),
        (b"a,b\n1,2\n3,1e31\n", "column 'b', row 3: 1e+31 is too large"),
        (b'a,b\n1,"2\n3,4\n', "row 2: a quote is opened and never closed"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "is broken UTF-16"),
        (b"a,b\n1," + b"x" * 1001 + b"\n", "column 'b', row 2: a text of more than 1000"),
        (b"a" * 201 + b",b\n1,2\n", "column 1: the name has 201 characters"),
        (gzip.compress(CSV, mtime=0)[:-9], "is a broken gzip file"),
        (gzip.compress(CSV, mtime=0)[:15] + b"\xff\xff\xff\xff\xff", "is a broken gzip file"),
        (b"PAR1", "is a broken Parquet file"),
        (parquet(**ROWS)[:-30], "is a broken Parquet file"),
        (parquet(x=[1.0, float("-inf")], y=[0, 1]), "column 'x', row 2: -inf is infinite"),
        (parquet(x=[[1], [2]], y=[0, 1]), "column 'x' holds values of type list"),
        (parquet(x=[b"a", b"b"], y=[0, 1]), "column 'x' holds values of type binary"),
        (parquet(x=[time(12, 30)], y=[0]), "column 'x' holds values of type time"),
        (parquet(x=["a\x00"], y=[0]), "column 'x', row 1: a text with a NUL"),
        (parquet(x=[1]), "has one column only"),
        (parquet(x=pa.array([], pa.int8()), y=pa.array([], pa.int8())), "has no rows"),
        (parquet(**{"": [1], "y": [2]}), "column 1 has no name"),
        (b"PK\x03\x04rubbish", "is a broken npz file"),
        (npz(a=[1]), "without the arrays X and y; it holds: a.npy"),
        (npz(X=[1.0], y=[1]), "X must be numbers in two dimensions; met float64 of shape (1,)"),
        (npz(X=[["a"]], y=[1]), "X must be numbers"),
        (npz(X=[[1.0]], y=[1, 2]), "X has 1 rows, y 2"),
        (npz(X=[[1.0]], y=[[1]]), "y must be numbers or texts in one dimension"),
        (npz(X=[[1.0], [np.inf]], y=[1, 2]), "column 'x0', row 2: inf is infinite"),
        (npz(X=np.array([["a", None]], object), y=[1]), "array X holds Python objects"),
        (npz(X=[[1.0]], y=[1], feature_names=["a", "b"]), "feature_names must be 1 texts"),
        (npz(X=[[1.0]], y=[1], feature_names=["target"]), "both called 'target'"),
    ],
)
def test_a_broken_file_is_refused_saying_where(read: Read, data: bytes, where: str) -> None:
    assert where in refusal(read, data)


def test_a_stray_text_among_numbers_is_pointed_at(read: Read) -> None:
    lines = [f"{value},{value % 2}" for value in range(100)]
    lines[41] = "4l,1"
    message = refusal(read, "\n".join(["age,y", *lines]).encode())
    assert message.startswith("column 'age', row 43: '4l' is no number, as 99 of its 100 values")


@pytest.mark.parametrize(
    ("data", "limits", "what"),
    [
        (CSV, {"max_upload_bytes": 10}, "at most 10"),
        (
            gzip.compress(b"a,b\n" + b"1,2\n" * 10_000, mtime=0),
            {"max_upload_bytes": 1000},
            "unpacks to more",
        ),
        (parquet(x=[0.5] * 9999, y=[1] * 9999), {"max_upload_bytes": 5000}, "cells; at most 2,500"),
        (
            parquet(x=["a" * 999] * 9999, y=[1] * 9999),
            {"max_upload_bytes": 100_000},
            "holds 9,989,001 bytes of text or more; at most 100,000",
        ),
        (npz(X=np.zeros((999, 9)), y=np.zeros(999)), {"max_upload_bytes": 5000}, "unpacks to too"),
        (CSV, {"max_rows": 2}, "rows"),
        (parquet(**ROWS), {"max_rows": 2}, "has 3 rows; at most 2"),
        (npz(X=np.zeros((3, 1)), y=np.zeros(3)), {"max_rows": 2}, "has 3 rows; at most 2"),
        (CSV, {"max_columns": 2}, "has 3 columns; at most 2"),
        (parquet(**ROWS), {"max_columns": 2}, "has 3 columns; at most 2"),
        (npz(X=np.zeros((3, 2)), y=np.zeros(3)), {"max_columns": 2}, "X has 2 columns; at most 1"),
    ],
)
def test_too_much_is_refused(read: Read, data: bytes, limits: dict[str, int], what: str) -> None:
    assert what in refusal(read, data, **limits)


def test_an_array_that_claims_more_than_it_holds_takes_no_memory(read: Read) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (2**40, 2**20)}
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("X.npy", header.getvalue() + b"12345678")
        file.writestr("y.npy", header.getvalue())
    assert "array X should have" in refusal(read, archive.getvalue())


def npy(descr: Any, shape: tuple[int, ...], values: bytes) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue() + values


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("array", "where"),
    [
        (npy("<f8", (-2, -2), bytes(32)), "shape (-2, -2)"),
        (npy("<f8", (2**70, 0), b""), "shape"),
        (npy(("<f8", (2,)), (2, 1), bytes(32)), "holds arrays of its own"),
        (npy("<f8", (2, 1), bytes(16)).replace(b"{'descr'", b"(((((((("), "broken header"),
    ],
)
def test_an_array_no_writer_makes_is_refused(read: Read, array: bytes, where: str) -> None:
    target = npy("<f8", (2,), bytes(16))
    assert where in refusal(read, zipped(X=array, y=target))


def test_a_member_whose_name_is_no_text_is_refused(read: Read) -> None:
    data = zipped(é=b"", X=b"", y=b"")
    assert data.count("é".encode()) == 2
    assert "broken npz file" in refusal(read, data.replace("é".encode(), b"\xff\xff"))


def test_a_pickle_is_never_loaded(read: Read) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("a pickle was loaded",)

    assert "objects" in refusal(read, npz(X=np.array([[Bomb()]], object), y=[1]))
    assert "NUL byte" in refusal(read, pickle.dumps([1, "x"], protocol=5))


def test_a_name_that_promises_another_format_is_refused(read: Read) -> None:
    with pytest.raises(InvalidInput, match=r"is called \.parquet but does not begin like one"):
        read(CSV, "data.parquet")
    with pytest.raises(InvalidInput, match=r"is called \.npz"):
        read(parquet(**ROWS), "data.npz")


# --- whatever the bytes -----------------------------------------------------------------------

GOOD = [
    CSV,
    parquet(**ROWS),
    npz(X=np.eye(3), y=np.array(["a", "b", "c"])),
    gzip.compress(CSV, mtime=0),
]


def mutated(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    changed = bytearray(data)
    for place, byte in changes:
        changed[place % len(changed)] = byte
    return bytes(changed[: len(changed) - cut % len(changed)])


@given(
    st.binary(max_size=300)
    | st.builds(bytes.__add__, st.sampled_from([b"PAR1", b"PK\x03\x04", b"\x1f\x8b"]), st.binary())
    | st.text(st.sampled_from('ab1.;,\t\n\r" \x00é'), max_size=60).map(str.encode)
    | st.builds(
        mutated,
        st.sampled_from(GOOD),
        st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4),
        st.just(0) | st.integers(0, 5000),
    )
)
@example(b"a,b\n1," + b'"' * 7)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=1500)
def test_any_bytes_are_a_table_or_a_refusal_of_the_file(read: Read, data: bytes) -> None:
    with suppress(InvalidInput):
        table = read(data)
        assert table.num_rows >= 1
        assert {str(kind) for kind in table.schema.types} <= {"double", "string"}
