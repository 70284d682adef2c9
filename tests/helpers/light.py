"""Answers with little evidence, for tests that run whole jobs and look at something else."""

from __future__ import annotations

import pytest

from workers.answer import extent, features, sealed


def lighten(patch: pytest.MonkeyPatch) -> None:
    """Let answers have few halves, strengths and replicates, until the patch is undone."""
    patch.setattr(extent, "PAIRS", extent.FEWEST_PAIRS)
    patch.setattr(extent, "EXACT", extent.LEAST_EXACT)
    patch.setattr(sealed, "REPLICATES", 200)
    patch.setattr(features, "REPLICATES", 50)
