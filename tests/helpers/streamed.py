"""One table prepared twice: in memory, and as rows that stay in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ridgeway.data.catalogue import StoredDataset
from ridgeway.data.row_files import RowFiles
from ridgeway.data.store import Store
from ridgeway.data.tables import canonical_table, from_parquet, profile_table, to_parquet
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import Prepared, prepare, prepare_streamed
from workers.data.streaming import StreamedTable


def made_up(rows: int = 700, *, classes: bool = True) -> pd.DataFrame:
    """Return numbers, some missing, texts, and a target that depends on them."""
    chance = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{place}": chance.normal(3, 2, rows) for place in range(4)})
    frame["few"] = np.where(chance.random(rows) < 0.1, np.nan, frame["x0"] * 1e6)
    frame["level"] = chance.choice(["a", "b", "c", None], rows)
    frame["x3"] = 7.0  # constant
    signal = frame["x0"] - frame["x1"] + (frame["level"] == "b") + chance.normal(size=rows)
    frame["group"] = chance.integers(60, size=rows).astype(float)
    frame["weight"] = chance.random(rows)
    frame["y"] = np.where(signal > 0, "yes", "no") if classes else signal
    return frame


def stored(frame: pd.DataFrame, folder: Path) -> tuple[StoredDataset, Store]:
    """Keep the frame in a store, as an upload is kept."""
    store = Store(str(folder / "store"))
    table = canonical_table(pa.Table.from_pandas(frame, preserve_index=False))
    checksum = store.put("t.parquet", to_parquet(table))
    shape = {"rows": len(frame), "column_count": frame.shape[1], "bytes": 0, "created_at": 0.0}
    known: Any = {"id": "", "name": "made up", "checksum": "", "target": "y", "task": "regression"}
    profile = profile_table(table).model_dump(mode="json")
    found = StoredDataset(
        **known, **shape, stored_checksum=checksum, address="t.parquet", stored_profile=profile
    )
    return found, store


def both(frame: pd.DataFrame, folder: Path, **fields: Any) -> tuple[Prepared, Prepared]:
    """Return the frame prepared in memory, and with its rows in a file in the folder."""
    upload, store = stored(frame, folder)
    spec = spec_for(upload, **fields)
    whole = prepare(spec, from_parquet(store.get(upload.address)).to_pandas())
    with StreamedTable.opened(upload, store) as table:
        return whole, prepare_streamed(spec, table, {}, RowFiles(folder / "rows", 2**30))


def spec_for(upload: StoredDataset, **fields: Any) -> JobSpec:
    """Return a job's spec on an upload, with what the door fills in."""
    return resolve_spec(parse_spec({"dataset": "made up", "target": "y", **fields}), upload.profile)
