"""Whatever file is taken, and whatever job is taken on it: the worker can prepare the rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ridgeway.data.headers import Header
from ridgeway.data.judging import judged_profile
from ridgeway.data.tables import from_parquet, to_parquet
from ridgeway.data.uploads import read_upload
from ridgeway.errors import InvalidInput, JobUnrunnable
from ridgeway.settings import Settings
from ridgeway.spec.columns import NO_INPUT
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import prepare

ROWS = 24
WRITTEN = {  # by what a column is like: a value of the row's number
    "counted": lambda row: str(row + 1),
    "number": lambda row: f"{math.sin(row) * 10:.3f}",
    "german": lambda row: f"{1000 + 37 * row}".replace("1", "1.", 1) + f",{row:02d}",
    "dollars": lambda row: f"${row % 7},{100 + row}.5",
    "percent": lambda row: f"{row * 4 % 13}%",
    "accounts": lambda row: f"({row})" if row % 3 else str(row),
    "mixed": lambda row: "1.234,5" if row % 2 else "1,234.5",
    "iso": lambda row: f"2024-0{1 + row % 9}-{10 + row % 18}",
    "german date": lambda row: f"{1 + row % 28:02d}.{1 + row % 12:02d}.2024",
    "either date": lambda row: f"{1 + row % 12}/{1 + row % 11}/2024",
    "moment": lambda row: f"2024-05-01T{row % 24:02d}:30:00.25+02:00",
    "name": lambda row: f"name {row}",
    "text": lambda row: f"this is the long text number {row}",
    "category": lambda row: "abc"[row % 3],
    "code": lambda row: f"0{row % 5}",
    "constant": lambda row: "same",
    "nothing": lambda row: "",
    "id": lambda row: f"{10**17 + row % 4}",
}
GAPS = ["", "-", "NA", "?", "n/a"]
KINDS = [
    "number", "category", "date", "date_day_first", "date_month_first",
    "identifier", "text", "constant", "drop",
]  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Draw a CSV, and its columns' names; the last one may be a target, with gaps at times."""
    kinds = draw(st.lists(st.sampled_from(sorted(WRITTEN)), min_size=1, max_size=5))
    kinds.append(draw(st.sampled_from(["number", "category", "german"])))
    delimiter = draw(st.sampled_from([";", "\t"]))
    named = draw(st.booleans())
    names = [f"c{place}" if named else f"column_{place}" for place in range(1, len(kinds) + 1)]
    gaps = {draw(st.integers(0, len(kinds) - 1)): draw(st.sampled_from(GAPS)) for _ in range(2)}
    lines = [delimiter.join(names)] if named else []
    for row in range(ROWS):
        cells = [WRITTEN[kind](row) for kind in kinds]
        for place, gap in gaps.items():
            cells[place] = gap if (row + place) % 6 == 1 else cells[place]
        lines.append(delimiter.join(cells))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return "\n".join(lines).encode(encoding), names


@st.composite
def jobs(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    data, names = draw(files())
    *others, last = names
    some = st.dictionaries(st.sampled_from(others), st.sampled_from(KINDS), max_size=3)
    fields: dict[str, Any] = {"dataset": "d", "columns": draw(some), "missing_target": "drop"}
    fields["target"] = draw(st.sampled_from([last, last, last, others[0]]))
    fields["validation"] = {"kind": "folds", "folds": 2}
    if draw(st.integers(0, 3)) == 0:
        fields["validation"] = {"kind": "forward", "folds": 2, "by": others[0]}
    return data, fields


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd") / "odd.csv"


@given(jobs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_accepted_can_be_prepared(path: Path, drawn: tuple[bytes, dict[str, Any]]) -> None:
    data, fields = drawn
    path.write_bytes(data)
    try:
        header: Header = "false" if fields["target"].startswith("column") else "true"
        table = read_upload(path, None, Settings(), header)
        profile = judged_profile(table)
        spec = parse_spec(fields)
        check_spec(spec)
        spec = resolve_spec(spec, profile)
    except InvalidInput:
        return
    stored = from_parquet(to_parquet(table))
    assert judged_profile(stored) == profile  # its notes are kept with it
    assert resolve_spec(spec, profile) == spec  # it can be sent again
    try:
        prepared = prepare(spec, stored.to_pandas(), profile.formats)
    except JobUnrunnable as error:  # what only the rows tell, not the profile
        if "class" not in str(error):
            raise
        return
    left_out = {*spec.apart, spec.target}
    assert {*prepared.columns} == {own.name for own in profile.columns} - left_out
    assert all(bool(fold.train_inputs.isfinite().all()) for fold in prepared.folds)
    assert not any(spec.columns.get(name) in NO_INPUT for name in prepared.source_columns)
