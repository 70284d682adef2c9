"""docs/security.md says what was tried: each row names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/.]+\.py)`(?:: ((?:`test_\w+`(?:, )?)+))?")


def tried() -> list[str]:
    """The rows of the table of what was tried, but its head and the names of its parts."""
    page = (ROOT / "docs/security.md").read_text()
    section = page.partition("## What was tried")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [row for row in rows[1:] if not row.startswith("| **")]


def test_every_row_names_a_test_that_is_there() -> None:
    assert len(tried()) > 30
    for row in tried():
        what, outcome, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert what
        assert outcome
        found = NAMED.findall(tests)
        assert found or "when-things-crash.md" in tests, row
        assert len(re.findall(r"`test_", tests)) == sum(names.count("`test_") for _, names in found)
        for file, names in found:
            text = (ROOT / file).read_text()
            for name in re.findall(r"`(test_\w+)`", names):
                assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), (file, name)
