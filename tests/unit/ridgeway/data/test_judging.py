"""What is told of each column at upload, and what is made of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ridgeway.data.csv_files import read_csv
from ridgeway.data.judging import judged_profile
from ridgeway.data.tables import from_parquet, to_parquet
from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings
from ridgeway.spec.profiles import ColumnProfile, DatasetProfile

ROWS = 60


def profiled(cells: list[str], delimiter: str = ";") -> ColumnProfile:
    """Return what is told of a column of these cells, beside a target."""
    lines = [f"{cell}{delimiter}{place}.5" for place, cell in enumerate(cells)]
    return profile_of("\n".join([f"x{delimiter}y", *lines]).encode()).columns[0]


def profile_of(data: bytes, **more: Any) -> DatasetProfile:
    return judged_profile(read_csv(io.BytesIO(data), 10**6, 10**4, **more))


@pytest.mark.parametrize(
    ("cells", "kind", "warned"),
    [
        ([str(row + 1) for row in range(ROWS)], "identifier", ["identifier"]),
        ([str(row * 2) for row in range(ROWS)], "number", []),
        ([str(ROWS - row) for row in range(ROWS)], "identifier", ["identifier"]),
        ([f"{row}.0" for row in range(12)], "number", []),  # too few to be sure
        ([f"name {row}" for row in range(ROWS)], "identifier", ["identifier"]),
        ([f"all that was said of {row}" for row in range(ROWS)], "text", ["text"]),
        (["a", "b"] * 30, "category", []),
        ([f"0{row % 7}" for row in range(ROWS)], "category", []),
        ([str(10**17 + row) for row in range(ROWS)], "identifier", ["identifier"]),
        (["7"] * ROWS, "constant", ["constant"]),
        (["seven"] * ROWS, "constant", ["constant"]),
        ([""] * ROWS, "constant", ["constant"]),
        (["7", ""] * 30, "number", []),  # whether it is there may tell something
        ([f"2024-05-{1 + row % 31:02d}" for row in range(ROWS)], "date", []),
        ([f"{1 + row % 31}.5.2024" for row in range(ROWS)], "date_day_first", []),
        ([f"{1 + row % 9}/{1 + row % 8}/2024" for row in range(ROWS)], "date_day_first",
         ["ambiguous_dates"]),
        (["1.234,5", "2,5", "-"] * 20, "number", []),
        (["$1,234.50", "$2.50", "n/a"] * 20, "number", []),
        (["1.234,5", "1,234.5"] * 30, "category", ["mixed_numbers"]),
        (["1,234", "2,345"] * 30, "number", ["ambiguous_numbers"]),
        (["1.234", "2.345"] * 30, "number", ["ambiguous_numbers"]),
    ],
)  # fmt: skip
def test_a_column_has_a_kind_and_what_to_know(
    cells: list[str], kind: str, warned: list[str]
) -> None:
    found = profiled(cells)
    assert (found.kind, [each.code for each in found.warnings]) == (kind, warned)
    assert found.made
    assert all(found.can_be(each) for each in found.possible_kinds)


def test_by_commas_a_lone_group_of_three_is_thousands() -> None:
    lines = "\n".join(f'"{row},234",{row}.5' for row in range(1, ROWS))
    (found, _) = profile_of(f"x,y\n{lines}".encode()).columns
    assert (found.minimum, found.kind) == (1234.0, "number")
    assert found.warnings[0].code == "ambiguous_numbers"


def test_missing_targets_are_counted() -> None:
    (_, target) = profile_of(b"x,y\n1,2\n3,\n5,?\n").columns
    assert target.warnings[0].code == "missing_target"
    assert target.warnings[0].sentence.startswith("2 of 3 rows have no 'y'")
    assert "missing_target" in target.warnings[0].remedy


def test_a_file_without_a_header_is_told_and_may_be_settled() -> None:
    data = b"5.1,a\n5.2,b\n5.4,a\n"
    found = profile_of(data)
    assert (found.rows, found.header) == (3, False)
    assert [own.name for own in found.columns] == ["column_1", "column_2"]
    assert [each.code for each in found.warnings] == ["no_header"]
    named = profile_of(data, header="true")
    assert (named.rows, [own.name for own in named.columns]) == (2, ["5.1", "a"])
    numbered = profile_of(b"a,b\n1,2\n", header="false")
    assert (numbered.rows, numbered.warnings) == (2, ())


def test_dates_of_one_moment_are_one_value_and_their_texts_stay() -> None:
    cells = ["2024-05-01", "2024-05-01T00:00", "2024-5-2", "-"] * 8
    found = profiled(cells)
    assert (found.kind, found.distinct, found.missing) == ("date", 4, 0)
    date = found.taken_as("date")
    assert (date.distinct, date.missing) == (2, 8)
    assert found.taken_as("category") == found.model_copy(update={"kind": "category"})
    lines = "\n".join(f"{cell};{place}.5" for place, cell in enumerate(cells))
    assert read_csv(io.BytesIO(f"x;y\n{lines}".encode()), 99, 9).column("x").to_pylist() == cells


def test_who_has_types_means_them(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "code": [str(row % 3) for row in range(ROWS)],
            "price": [f"{row}.234,5" for row in range(ROWS)],
            "many": [f"{row}.5" for row in range(ROWS)],
            "when": pd.date_range("2024-01-01", periods=ROWS, tz="Europe/Oslo"),
            "day": [each.date() for each in pd.date_range("2024-01-01", periods=ROWS)],
            "y": np.arange(ROWS) / 2,
        }
    )
    frame.to_parquet(path := tmp_path / "typed.parquet")
    table = read_upload(path, None, Settings())
    kinds = {own.name: own.kind for own in judged_profile(table).columns}
    assert kinds == dict(
        code="category", price="number", many="number", when="date", day="date", y="number"
    )
    assert table.column("price")[1].as_py() == 1234.5
    assert table.column("when")[0].as_py() == "2023-12-31 23:00:00.000000Z"


def test_numbers_of_a_program_are_inputs_whatever_they_are() -> None:
    table = pa.table({"id": [float(row) for row in range(ROWS)], "k": [1.0] * ROWS})
    assert [own.kind for own in judged_profile(table, numbers=False).columns] == ["number"] * 2
    assert [own.kind for own in judged_profile(table).columns] == ["identifier", "constant"]


def test_notes_are_kept_with_the_table_and_never_a_clients(tmp_path: Path) -> None:
    table = read_csv(io.BytesIO(b"x;y\n1.234,5;1\n2,5;2\n"), 9, 9)
    profile = judged_profile(table)
    assert judged_profile(from_parquet(to_parquet(table))) == profile
    foreign = table.replace_schema_metadata({b"ridgeway": b'{"formats": "all"}'})
    path = tmp_path / "foreign.parquet"
    path.write_bytes(to_parquet(foreign))
    assert judged_profile(read_upload(path, None, Settings())).formats == {}


def test_very_wide_files_and_cells_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    for data, said in (
        (
            b",".join(b"c%d" % place for place in range(10**6)) + b"\n",
            r"columns; at most 20,000",
        ),
        (b"a,b\n1," + b"x" * 10**6 + b"\n", "more than 1000 characters"),
        (b"a,b\n1," + b"x" * 10**8 + b"\n", "a row after row 1 has more than 4,194,304 bytes"),
        (b"x" * 10**8 + b",b\n1,2\n", "row 1: field larger than field limit"),
    ):
        path.write_bytes(data)
        with pytest.raises(InvalidInput, match=said):
            read_upload(path, None, Settings())
