"""docs/settings.md says what ridgeway.settings does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ridgeway.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ROW = re.compile(r"^\| `RIDGEWAY_(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = {name.lower(): (default, unit) for name, default, unit, _ in ROW.findall(PAGE.read_text())}


def _written(default: Any) -> str:
    return "not set" if default is None else f"`{default}`"


def test_the_page_describes_every_setting_and_no_other() -> None:
    assert set(ROWS) == set(Settings.model_fields)


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_page_gives_the_default(name: str) -> None:
    assert ROWS[name][0].strip() == _written(Settings.model_fields[name].default)


@pytest.mark.parametrize("unit", ["seconds", "bytes"])
def test_the_unit_is_the_one_in_the_name(unit: str) -> None:
    named = {name for name in Settings.model_fields if name.endswith(f"_{unit}")}
    assert named == {name for name, row in ROWS.items() if row[1].strip() == unit}


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIDGEWAY_PORT", "")
    assert Settings().port == 8000
