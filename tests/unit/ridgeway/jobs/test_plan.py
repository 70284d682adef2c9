"""A job's plan as its row keeps it: read back whole, by whom it is meant for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ridgeway.errors import Unreadable
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.stored import read_plan

RANGE = JobPlan(strengths=(1e-4, 0.5), device="cuda", backend="mapped", compiled=True)
PLACED = JobPlan(strengths=(0.1, 0.5), placed=(0.5, 0.2, 0.15, 0.1), device="cpu")


@pytest.mark.parametrize("plan", [RANGE, PLACED])
def test_a_plan_is_read_back_as_it_was_found(plan: JobPlan) -> None:
    assert read_plan(json.loads(json.dumps(plan.kept()))) == plan


def test_placed_strengths_are_kept_where_who_knows_none_of_them_refuses_the_plan() -> None:
    assert "lambda" in RANGE.kept()
    assert "lambda" not in PLACED.kept()
    kept = PLACED.kept() | {"lambda": [0.1, 0.5]}  # as they were kept before
    assert read_plan(kept) == PLACED


@pytest.mark.parametrize(
    "kept", [{}, {"placed": []}, {"placed": [0.5]}, {"placed": 0.5}, {"placed": ["x", "y"]}, []]
)
def test_a_plan_without_a_range_is_another_releases(kept: Any) -> None:
    with pytest.raises(Unreadable, match="can't read the job's plan"):
        read_plan(kept)
