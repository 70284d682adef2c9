"""When further trials are worth no more: what is expected of them, and what folds could show."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from workers.sampling.ending import (
    NEAREST,
    Prospect,
    doublings,
    expected_gain,
    nearest,
    tried_enough,
)
from workers.sampling.floors import floor_of_each, penalties_in_turn


def space_of(penalties: list[str], **fields: Any) -> Any:
    spec = parse_spec({"dataset": "digits", "search": {"penalty": penalties}, **fields})
    return search_space(spec, (1e-6, 1e-1))


# --- what is expected of further trials -------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.normal(size=shape),
        lambda rng, shape: rng.uniform(size=shape) ** 2,
        lambda rng, shape: rng.chisquare(4, size=shape),
    ],
    ids=["normal", "bounded", "quadratic in four dimensions"],
)
@pytest.mark.parametrize("n", [20, 80])
def test_of_independent_draws_no_more_is_gained_than_expected_and_not_far_less(
    draw: Callable[..., Any], n: int
):
    losses = draw(np.random.default_rng(0), (1000, 2 * n))
    gained = float((losses[:, :n].min(1) - losses.min(1)).mean())
    expected = float(np.mean([expected_gain(each[:n], 1.0) for each in losses]))
    assert gained < expected < 8 * gained


def test_over_all_halves_the_gain_is_that_of_the_formula():
    losses = np.array([5.0, 1.0, 2.0, 8.0, 4.0, 7.0])
    subsets = [s for k in range(1, 7) for s in combinations(losses, k)]  # all alike likely
    mean = sum(min(s) for s in subsets) / len(subsets) - 1.0
    # The empty half, which has no best, is the difference: 2^-6 of all.
    assert expected_gain(losses[[1, 0, 2, 3, 4, 5]], 1.0) == pytest.approx(mean, rel=0.05)


def test_a_search_that_still_falls_is_expected_to_go_on():
    falling = np.linspace(1.0, 0.0, 40)
    assert expected_gain(falling, 1.0) == pytest.approx(0.5, abs=0.02)
    assert expected_gain(falling[::-1], 1.0) < 0.03


def test_what_is_left_of_the_budget_counts_in_doublings():
    assert doublings(50, 200) == 2.0
    assert doublings(200, 200) == 0.0
    assert doublings(201, 200) == 0.0
    losses = np.random.default_rng(0).normal(size=50)
    assert expected_gain(losses, 2.0) == 2 * expected_gain(losses, 1.0)


def test_a_configuration_that_is_proposed_again_and_again_counts_once():
    losses = np.random.default_rng(0).normal(size=30)
    again = np.concatenate([losses, np.full(30, losses.min())])
    assert expected_gain(again, 1.0) >= 0.5 * expected_gain(losses, 1.0) > 0
    assert len(set(again[nearest(again)])) == NEAREST


# --- what folds could show --------------------------------------------------------------------


@given(st.floats(0, 10), st.floats(0, 10))
def test_a_tenth_of_the_error_is_not_worth_it(gain: float, error: float):
    assert Prospect(gain, error).is_spent == (gain <= 0.1 * error)


# --- floors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trials", [10, 37, 200])
@pytest.mark.parametrize("penalties", [["none", "l1"], ["none", "l1", "l2", "elastic_net"]])
def test_the_floor_is_what_trials_in_turn_give_each_penalty(trials: int, penalties: list[str]):
    space = space_of(penalties)
    turns = penalties_in_turn(space, 0, trials)
    given = np.bincount(turns[turns >= 0], minlength=len(penalties))
    assert (given >= floor_of_each(space, trials)).all()


def test_each_penalty_has_ten_trials_before_the_end_or_its_floor():
    space = space_of(["none", "l1"])
    assert not tried_enough(space, 200, np.array([9, 60]))
    assert tried_enough(space, 200, np.array([10, 10]))
    assert tried_enough(space, 24, np.array([6, 6]))
    assert not tried_enough(space, 24, np.array([6, 5]))


def test_a_penalty_of_one_configuration_has_its_floor_with_one_trial():
    space = space_of(["none", "l1"], model={"kind": "linear"})
    assert tried_enough(space, 200, np.array([1, 10]))


# --- how it does ------------------------------------------------------------------------------


def ending(losses: Any, error: float, trials: int) -> int:
    """Return after how many of the trials the search ends, asked after every tenth."""
    for n in range(20, trials, 10):
        if Prospect(expected_gain(losses[:n], doublings(n, trials)), error).is_spent:
            return n
    return trials


@pytest.mark.parametrize("error", [0.01, 0.1, 1.0])
def test_simulated_searches_miss_little_and_the_fewer_trials_the_larger_the_error(error: float):
    rng = np.random.default_rng(0)
    missed, spent = [], []
    for _ in range(200):
        losses = rng.chisquare(2, 200)  # a quadratic bowl in two dimensions, drawn at random
        end = ending(losses, error, 200)
        missed.append(float(losses[:end].min() - losses.min()))
        spent.append(end)
    assert np.mean(missed) <= 0.1 * error
    assert np.mean(spent) < {0.01: 201, 0.1: 180, 1.0: 80}[error]
