"""Parts stand alone, samples follow from the seed, and what ends a lease passes through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ridgeway.errors import LeaseLost
from ridgeway.shown import Flicker, Shown, Weights
from workers.answer.shown.parts import Absent, sampled, short, with_parts
from workers.heeding import Interrupted

WEIGHTS = Weights(confirmed=True, edges=[-1.0, 1.0], histograms=[])


def raising(error: BaseException) -> Weights:
    raise error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Absent("There is nothing."), "There is nothing."),
        (ValueError("secret"), "It failed: ValueError."),
        (MemoryError(), "It failed: MemoryError."),
        (SystemExit(3), "It failed: SystemExit."),
    ],
)
def test_a_part_that_fails_leaves_the_others_alone(error: BaseException, said: str) -> None:
    parts = {"flicker": lambda: raising(error), "weights": lambda: WEIGHTS}
    assert with_parts(Shown(), parts) == Shown(weights=WEIGHTS, absent={"flicker": said})


@pytest.mark.parametrize("error", [LeaseLost(), Interrupted(), KeyboardInterrupt()])
def test_what_ends_the_lease_passes(error: BaseException) -> None:
    with pytest.raises(type(error)):
        with_parts(Shown(), {"weights": lambda: raising(error)})


def test_a_number_that_json_has_not_makes_its_part_absent() -> None:
    broken = Flicker(
        rows=1,
        weights=1,
        strength=math.inf,
        learning_rate=1.0,
        steps=1,
        traces=[],
        subgradient_zeros=[],
        proximal_zeros=[],
    )
    found = with_parts(Shown(), {"flicker": lambda: broken})
    assert found.flicker is None
    assert set(found.absent) == {"flicker"}


def test_a_sample_is_in_order_and_the_same_for_a_seed() -> None:
    np.testing.assert_array_equal(sampled(5, 5, 0, "rows"), np.arange(5))
    drawn = sampled(10_000, 50, 0, "rows")
    assert len(set(drawn.tolist())) == 50
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, sampled(10_000, 50, 0, "rows"))
    assert set(drawn.tolist()) != set(sampled(10_000, 50, 1, "rows").tolist())


def test_numbers_keep_six_digits() -> None:
    assert short(math.pi * 1e-9) == 3.14159e-9
