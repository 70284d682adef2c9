"""What tests of answers share."""

from __future__ import annotations

import pytest


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers with paths of four strengths and four pairs of halves, for who asks for neither."""
    for extent in ("EXACT", "LEAST_EXACT", "TRAINED", "FEWEST", "PAIRS", "FEWEST_PAIRS"):
        monkeypatch.setattr(f"workers.answer.extent.{extent}", 4)
