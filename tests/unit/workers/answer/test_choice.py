"""Which trials the answer names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from ridgeway.study.reading import StudyTrial
from workers.answer.choice import choose


def trial(
    number: int, value: float, nonzero: float, error: float | None = 0.1, penalty: str = "l1"
) -> StudyTrial:
    return StudyTrial(
        id=number + 1,
        number=number,
        state=TrialState.COMPLETE,
        value=value,
        params={"penalty": penalty},
        distributions={},
        started_at=None,
        finished_at=None,
        attributes={"standard_error": error, "nonzero_weights": nonzero},
    )


def numbers(trials: list[StudyTrial], maximise: bool = False) -> dict[str, int]:
    return {role: chosen.number for role, chosen in choose(trials, maximise).items()}


def test_the_simplest_has_the_fewest_nonzeros_within_one_standard_error_of_the_best():
    trials = [trial(0, 0.50, 90), trial(1, 0.59, 20), trial(2, 0.61, 5), trial(3, 0.55, 30)]
    assert numbers(trials) == {"best": 0, "simplest": 1}


def test_where_more_is_better_the_standard_error_is_taken_downwards():
    trials = [trial(0, 0.90, 90), trial(1, 0.81, 20), trial(2, 0.79, 5)]
    assert numbers(trials, maximise=True) == {"best": 0, "simplest": 1}


def test_the_limit_is_the_standard_error_of_the_best_not_of_the_candidate():
    assert numbers([trial(0, 0.5, 9, error=0.1), trial(1, 0.7, 1, error=9.9)])["simplest"] == 0


def test_ties_go_by_value_and_then_by_number():
    assert numbers([trial(0, 0.5, 9), trial(1, 0.58, 3), trial(2, 0.52, 3)])["simplest"] == 2
    same = [trial(2, 0.5, 3), trial(1, 0.5, 3)]
    assert numbers(same) == {"best": 1, "simplest": 1}


def test_without_a_standard_error_only_the_best_value_qualifies():
    assert numbers([trial(0, 0.5, 9, error=None), trial(1, 0.51, 1)])["simplest"] == 0


def test_none_is_the_best_unpenalised_trial_where_there_is_one():
    trials = [trial(0, 0.5, 9), trial(1, 0.9, 9, penalty="none"), trial(2, 0.8, 9, penalty="none")]
    assert numbers(trials)["none"] == 2
    assert "none" not in numbers(trials[:1])


@given(
    st.lists(
        st.tuples(st.floats(-10, 10), st.integers(0, 50), st.one_of(st.none(), st.floats(0, 5))),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_the_simplest_is_never_denser_than_the_best_nor_beyond_its_standard_error(rows, maximise):
    trials = [trial(number, *row) for number, row in enumerate(rows)]
    chosen = choose(trials, maximise)
    simplest, best = chosen["simplest"], chosen["best"]
    values = [t.value for t in trials]
    assert best.value == (max if maximise else min)(values)
    assert simplest.facts.nonzero_weights <= best.facts.nonzero_weights
    error = best.facts.standard_error or 0.0
    assert abs(simplest.value - best.value) <= error + 1e-12


def test_nothing_can_be_chosen_from_nothing():
    with pytest.raises(ValueError, match="empty"):
        choose([], maximise=False)
