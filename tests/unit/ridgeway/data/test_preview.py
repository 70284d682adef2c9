"""The first rows of a stored table are those of the whole one, and cost no more than they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ridgeway.data.preview import BUFFER_BYTES, MOST_COLUMNS, preview_stored
from ridgeway.data.store import Store
from ridgeway.data.tables import from_parquet, to_parquet
from ridgeway.errors import NotFound, Unreadable


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path.as_uri())


def test_the_rows_are_the_table_s_first_with_gaps_as_null(store: Store) -> None:
    table = pa.table(
        {"x.y": [1.5, None, float("nan")], "x": ["a", None, "c"], "y": [1.0, 2.0, float("inf")]}
    )
    store.put("datasets/a.parquet", to_parquet(table))
    found = preview_stored(store, "datasets/a.parquet", 2)
    assert found.columns == ["x.y", "x", "y"]
    assert found.rows == [[1.5, "a", 1.0], [None, None, 2.0]]
    assert preview_stored(store, "datasets/a.parquet", 100).rows[2] == [None, "c", None]
    empty = to_parquet(table.slice(0, 0))
    store.put("datasets/b.parquet", empty)
    assert preview_stored(store, "datasets/b.parquet", 5).rows == []


def test_of_a_wide_table_the_first_columns_are_shown(store: Store) -> None:
    table = pa.table({f"c{place}": [float(place)] for place in range(MOST_COLUMNS + 50)})
    store.put("datasets/a.parquet", to_parquet(table))
    found = preview_stored(store, "datasets/a.parquet", 1)
    assert found.columns == table.column_names[:MOST_COLUMNS]
    assert found.rows == [[float(place) for place in range(MOST_COLUMNS)]]


def test_little_of_a_long_table_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).random((400_000, 3))
    data = to_parquet(pa.table({name: rows[:, place] for place, name in enumerate("abc")}))
    store.put("datasets/a.parquet", data)
    file = store.open("datasets/a.parquet")
    read = 0
    own = file.read

    def counted(size: int = -1) -> bytes:
        nonlocal read
        piece = own(size)
        read += len(piece)
        return piece

    monkeypatch.setattr(file, "read", counted)
    monkeypatch.setattr(store, "open", lambda _: file)
    found = preview_stored(store, "datasets/a.parquet", 10)
    assert found.rows == from_parquet(data).slice(0, 10).to_pandas().to_numpy().tolist()
    assert 0 < read < len(data) / 2
    assert len(data) / 50 > BUFFER_BYTES


def test_what_is_gone_or_no_table_is_told(store: Store) -> None:
    with pytest.raises(NotFound):
        preview_stored(store, "datasets/a.parquet", 1)
    store.put("datasets/a.parquet", b"PAR1 not a table PAR1")
    with pytest.raises(Unreadable):
        preview_stored(store, "datasets/a.parquet", 1)
