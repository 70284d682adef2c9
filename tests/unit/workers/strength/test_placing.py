"""Where the strengths of a net's path go, by the columns that some of them leave."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import CPU

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.bundled import bundled_frame
from workers.data.prepare import check_and_prepare
from workers.population.problem import Problem, problem_of
from workers.population.watch import Watch
from workers.strength.placing import is_placed, placed_strengths, spread
from workers.strength.probe import UNPROBED
from workers.strength.range import strength_range


def falling(strength: float) -> float:
    """Columns of a net that loses its 64 between λ = 100 and 250."""
    return round(64 * min(1.0, max(0.0, math.log(250 / strength) / math.log(2.5))))


def test_without_a_column_that_falls_strengths_are_even_in_logarithms() -> None:
    found = spread({1.0: 5, 10.0: 5, 1000.0: 5}, [1.0, 1000.0], 8)
    np.testing.assert_allclose([1000.0, *found, 1.0], np.geomspace(1000, 1, 10))


def test_strengths_lie_where_columns_fall() -> None:
    even = np.geomspace(0.1, 1000, 16).tolist()
    added = spread({own: falling(own) for own in even}, even, 16)
    assert sum(80 < own < 270 for own in added) >= 8
    evenly = np.geomspace(0.1, 1000, 32)
    assert len({falling(own) for own in even + added}) >= 2 * len({falling(own) for own in evenly})


def test_a_jump_takes_few_of_them() -> None:
    found = spread({0.1: 64, 100.0: 64, 101.0: 0, 1000.0: 0}, [0.1, 1000.0], 30)
    assert 1 <= sum(100 < own < 101 for own in found) <= 3


@settings(max_examples=50)
@given(
    st.dictionaries(st.floats(1e-6, 1e3), st.floats(0, 1e4), min_size=2, max_size=20),
    st.integers(0, 40),
    st.randoms(),
)
def test_there_are_as_many_as_asked_for_between_the_fixed_ones(
    left: dict[float, float], count: int, order: Any
) -> None:
    ends = [min(left), max(left)]
    found = spread(left, ends, count)
    assert len(found) == count
    assert found == sorted(found, reverse=True)
    assert all(ends[0] <= own <= ends[1] for own in found)
    shuffled = list(left)
    order.shuffle(shuffled)
    assert spread({own: left[own] for own in shuffled}, ends, count) == found


# --- path jobs ----------------------------------------------------------------------------------

NET: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [6]}, "epochs": 20}


def path_spec(**fields: Any) -> JobSpec:
    given = {"validation": {"kind": "holdout"}, "penalty": "group_lasso", "strengths": 32, **NET}
    return parse_spec({"kind": "path", "dataset": "wine", **given, **fields})


def problem_for(spec: JobSpec) -> tuple[Any, Problem]:
    prepared = check_and_prepare(spec, bundled_frame("wine"))
    return prepared, problem_of(prepared, CPU)


def test_a_path_job_of_nets_goes_from_no_column_to_all() -> None:
    prepared, problem = problem_for(path_spec(learning_rate=0.02))
    told: list[tuple[int, int]] = []
    found = strength_range(prepared, problem, lambda done, of: told.append((done, of)))
    assert found.warnings == ()
    assert len(found.placed) == 32
    assert list(found.placed) == sorted(set(found.placed), reverse=True)
    assert (found.placed[0], found.placed[-1]) == (found.high, found.low)
    assert told[-1] == (20, 20)
    ratios = [stronger / weaker for stronger, weaker in pairwise(found.placed)]
    assert max(ratios) > 1.5 * min(ratios)
    assert placed_strengths(problem, Watch()) == found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"strengths": [0.1, 0.2]}, False),  # as they are given
        ({"penalty": "l2"}, False),  # no column is dropped
        ({"penalty": "elastic_net", "l1_ratio": 0.0}, False),
        ({"strengths": 20}, False),  # 15 of 40 models would be too many
        ({"strengths": 20, "validation": {"kind": "folds", "folds": 5}}, True),
    ],
)
def test_strengths_are_placed_where_counting_columns_tells_and_costs_little(
    fields: dict[str, Any], expected: bool
) -> None:
    assert is_placed(path_spec(**fields)) is expected


def test_linear_paths_and_searches_stay_as_they_are() -> None:
    spec = path_spec(penalty="l1", model={"kind": "linear"}, precision="float64")
    prepared, problem = problem_for(spec)
    assert strength_range(prepared, problem, lambda done, of: None).placed == ()
    assert not is_placed(parse_spec({"dataset": "wine", **NET}))


def test_nets_that_all_diverge_leave_the_fixed_range_and_a_warning() -> None:
    _, problem = problem_for(path_spec(optimizer="sgd", learning_rate=1000.0))
    found = placed_strengths(problem, Watch())
    assert (found.low, found.high, found.placed) == (*UNPROBED, ())
    assert "every net lost all columns or diverged" in found.warnings[0]
