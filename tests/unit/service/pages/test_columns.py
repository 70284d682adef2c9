"""What a page says that a job makes of a column is what the workers make of it."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ridgeway.data.tables import profile_table
from ridgeway.spec.columns import ColumnKind
from ridgeway.spec.profiles import ColumnProfile, infer_task
from ridgeway.views import Dataset
from service.pages.columns import Column, shown_columns
from workers.data.encoding import encode

FRAME = pd.DataFrame(
    {
        "whole": np.arange(90.0),
        "gaps": [None if row % 9 == 0 else row / 7 for row in range(90)],
        "city": [("Oslo", "Rome", "Lima")[row % 3] for row in range(90)],
        "gappy": [None if row % 5 == 0 else ("a", "b")[row % 2] for row in range(90)],
        "same": [1.0] * 90,
        "id": [f"u{row}" for row in range(90)],
        "buys": [("no", "yes")[row % 2] for row in range(90)],
    }
)


@pytest.fixture(scope="module")
def columns() -> dict[str, Column]:
    profile = profile_table(pa.Table.from_pandas(FRAME, preserve_index=False))
    target = profile.columns[-1]
    dataset = Dataset(
        id="1",
        name="people",
        kind="uploaded",
        rows=profile.rows,
        column_count=len(profile.columns),
        target=target.name,
        task=infer_task(target),
        checksum="0",
        bytes=1,
        created_at=None,
        columns=profile.columns,
    )
    return {own.name: own for own in shown_columns(dataset)}


def said(made: str) -> int:
    """Return how many encoded columns a sentence promises."""
    levels = re.search(r"One-hot: (\d+) column", made)
    count = int(levels[1]) if levels else 1
    return count + ("one for missing" in made) + ("marked in a column" in made)


@pytest.mark.parametrize("name", ["whole", "gaps", "city", "gappy"])
def test_a_column_becomes_as_many_as_are_said(columns: dict[str, Column], name: str):
    encoded = encode(FRAME[[name]], np.arange(90))
    assert len(encoded.names) == said(columns[name].made), encoded.names


def test_the_target_comes_first_and_is_told_apart(columns: dict[str, Column]):
    assert next(iter(columns)) == "buys"
    assert [own.name for own in columns.values() if own.is_target] == ["buys"]
    assert columns["buys"].made == "Predicted: 2 classes."


def test_neither_dates_nor_what_is_left_out_already_is_ticked():
    found = [
        ColumnProfile(name=kind, kind=kind, missing=0, distinct=365, integral=False)
        for kind in get_args(ColumnKind)
    ]
    dataset = Dataset(
        id="1",
        name="days",
        kind="uploaded",
        rows=366,
        column_count=len(found),
        target="none of them",
        task="regression",
        checksum="0",
        bytes=1,
        created_at=None,
        columns=found,
    )
    unfit = [own.name for own in shown_columns(dataset) if own.unfit]
    assert unfit == ["category"]


def test_what_no_job_would_take_is_ticked_to_be_left_out(columns: dict[str, Column]):
    assert [own.name for own in columns.values() if own.unfit] == ["id"]
    assert "tells nothing" in columns["same"].made
    assert columns["gaps"].share_missing == pytest.approx(0.111, abs=1e-3)
