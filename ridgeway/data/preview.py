"""The first rows of a data set as jobs read them, without the rest."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow ships no types.

from __future__ import annotations

import math
from typing import Any

from ridgeway.data.store import Store
from ridgeway.errors import Unreadable
from ridgeway.views import Preview

MOST_COLUMNS = 200  # of them; the profile has them all
BUFFER_BYTES = 2**16  # read at once of a column: its first page is enough, not its whole chunk


def preview_stored(store: Store, address: str, rows: int) -> Preview:
    """Read the first rows of a table in the store; NotFound where it is gone.

    Costs a page of each column, however long the table is.
    """
    import pyarrow as pa  # 60 MB: for those who ask for it alone
    import pyarrow.parquet as pq

    with store.open(address) as file:
        try:
            table = pq.ParquetFile(file, buffer_size=BUFFER_BYTES, pre_buffer=False)
            names: list[str] = table.schema_arrow.names[:MOST_COLUMNS]
            batches = table.iter_batches(batch_size=rows, columns=names, use_threads=False)
            first: Any = next(batches, None)
        except pa.ArrowException as error:
            raise Unreadable(f"The stored table can't be read: {error}") from None
    if first is None:
        return Preview(columns=names, rows=[])
    columns = [first.column(name).to_pylist() for name in names]
    return Preview(
        columns=names, rows=[list(map(_cell, row)) for row in zip(*columns, strict=True)]
    )


def _cell(value: Any) -> float | str | None:
    """Return a value as JSON has it: canonical columns are numbers and texts."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return str(value)
