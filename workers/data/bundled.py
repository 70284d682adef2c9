"""The bundled data sets, from scikit-learn; as a module it writes their profiles and rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sklearn import datasets

from ridgeway.data.bundled import BUNDLED, PROFILES, ROWS, ROWS_KEPT
from ridgeway.data.tables import canonical_table, profile_table

if TYPE_CHECKING:
    import pandas as pd


def bundled_frame(name: str) -> pd.DataFrame:
    """Return a bundled data set, the target last."""
    loaded: Any = getattr(datasets, f"load_{name}")(as_frame=True)
    return loaded.frame.rename(columns={"target": "label"}) if name == "digits" else loaded.frame


def current_profiles() -> dict[str, dict[str, Any]]:
    """Return what bundled.json should hold."""
    tables = {
        name: pa.Table.from_pandas(bundled_frame(name), preserve_index=False) for name in BUNDLED
    }
    return {
        name: profile_table(canonical_table(table)).model_dump(exclude_defaults=True)
        for name, table in tables.items()
    }


def current_rows() -> dict[str, list[list[Any]]]:
    """Return what bundled_rows.json should hold: the first rows as jobs read them."""
    found: dict[str, list[list[Any]]] = {}
    for name in BUNDLED:
        table = pa.Table.from_pandas(bundled_frame(name).head(ROWS_KEPT), preserve_index=False)
        columns = [column.to_pylist() for column in canonical_table(table).columns]
        found[name] = [list(row) for row in zip(*columns, strict=True)]
    return found


def main() -> None:
    """Write bundled.json anew, one column a line, and bundled_rows.json, one row a line."""
    lines: list[str] = []
    for name, profile in current_profiles().items():
        columns = ",\n".join(f"    {json.dumps(column)}" for column in profile["columns"])
        rows = profile["rows"]
        lines.append(f'  "{name}": {{"rows": {rows}, "columns": [\n{columns}\n  ]}}')
    PROFILES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    lines = []
    for name, table in current_rows().items():
        told = ",\n".join(f"    {json.dumps(row)}" for row in table)
        lines.append(f'  "{name}": [\n{told}\n  ]')
    ROWS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
