"""scikit-learn's data sets that every worker offers; profiles and first rows, known without it.

Columns are called as in scikit-learn's own frames, `target` last; that of digits is `label`.
`python -m workers.data.bundled` writes bundled.json and bundled_rows.json anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from ridgeway.spec.profiles import DatasetProfile
from ridgeway.views import Preview

BUNDLED = ("breast_cancer", "diabetes", "digits", "wine")
PROFILES = Path(__file__).with_name("bundled.json")
ROWS = Path(__file__).with_name("bundled_rows.json")
ROWS_KEPT = 100


@cache
def bundled_profiles() -> dict[str, DatasetProfile]:
    """Return the profile of each bundled data set by its name."""
    profiles = json.loads(PROFILES.read_text(encoding="utf-8"))
    return {name: DatasetProfile.model_validate(profiles[name]) for name in BUNDLED}


def bundled_rows(name: str, count: int) -> Preview:
    """Return the first rows of a bundled data set, at most ROWS_KEPT."""
    columns = [column.name for column in bundled_profiles()[name].columns]
    return Preview(columns=columns, rows=_rows()[name][:count])


@cache
def _rows() -> dict[str, list[list[float | str | None]]]:
    return json.loads(ROWS.read_text(encoding="utf-8"))
