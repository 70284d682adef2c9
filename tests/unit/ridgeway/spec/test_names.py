"""Every name of a spec has its row."""

from __future__ import annotations

from typing import get_args

from ridgeway.spec.names import (
    OBJECTIVE_ROWS,
    PENALTY_ROWS,
    SAMPLER_ROWS,
    UNPENALISED,
    BuiltInPenalty,
    Objective,
    Sampler,
    objectives_of,
)


def test_every_name_has_a_row_of_its_own_in_the_order_of_the_names() -> None:
    assert tuple(PENALTY_ROWS) == get_args(BuiltInPenalty)
    assert tuple(OBJECTIVE_ROWS) == get_args(Objective)
    assert tuple(SAMPLER_ROWS) == get_args(Sampler)
    for rows in (PENALTY_ROWS, OBJECTIVE_ROWS):
        assert len({row.label for row in rows.values()}) == len(rows)


def test_a_penalty_has_a_strength_unless_it_is_none() -> None:
    for name, row in PENALTY_ROWS.items():
        assert ("lambda" in row.parameters) == (name != UNPENALISED)


def test_both_tasks_are_judged_by_the_loss_first() -> None:
    assert objectives_of("classification")[:2] == ("loss", "accuracy")
    assert objectives_of("regression")[:2] == ("loss", "mse")


def test_every_penalty_says_in_a_line_what_it_does() -> None:
    lines = [row.does for row in PENALTY_ROWS.values()]
    assert all(0 < len(line) <= 100 for line in lines)
    assert len({*lines}) == len(lines)
