"""Which trials the answer names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import choose, within_limits


def spec(**fields: Any) -> JobSpec:
    return parse_spec({"dataset": "wine", "model": {"kind": "linear"}, **fields})


LOSS, ACCURACY = spec(), spec(objective="accuracy")


def trial(
    number: int,
    value: float,
    nonzero: float,
    error: float | None = 0.1,
    penalty: str = "l1",
    rate: float | None = None,
    **facts: Any,
) -> StudyTrial:
    rates: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
    return StudyTrial(
        id=number + 1,
        number=number,
        state=TrialState.COMPLETE,
        value=value,
        params={"penalty": penalty, **rates},
        distributions={},
        started_at=None,
        finished_at=None,
        attributes={"standard_error": error, "nonzero_weights": nonzero, "weights": 100, **facts},
    )


def numbers(trials: list[StudyTrial], of: JobSpec = LOSS) -> dict[str, int]:
    return {role: chosen.number for role, chosen in choose(trials, of).items()}


def test_the_simplest_has_the_fewest_features_that_the_value_does_not_tell_from_the_best():
    trials = [
        trial(0, 0.50, 90, features=9.0),
        trial(1, 0.59, 20, features=4.0),
        trial(2, 0.61, 5, features=1.0),
        trial(3, 0.55, 10, features=5.0),
    ]
    assert numbers(trials) == {"best": 0, "simplest": 1}


def test_of_as_many_features_it_has_the_fewest_nonzeros():
    trials = [trial(0, 0.50, 90, features=4.0), trial(1, 0.55, 20, features=4.0)]
    assert numbers(trials)["simplest"] == 1


def test_where_more_is_better_the_standard_error_is_taken_downwards():
    trials = [trial(0, 0.90, 90), trial(1, 0.81, 20), trial(2, 0.79, 5)]
    assert numbers(trials, ACCURACY) == {"best": 0, "simplest": 1}


def test_a_trial_that_is_worse_on_every_fold_is_not_level_however_wide_the_error_of_the_mean():
    best = trial(0, 0.5, 90, error=0.3, fold_values=[0.1, 0.4, 0.6, 0.9])
    worse = trial(1, 0.6, 5, fold_values=[0.2, 0.5, 0.71, 0.99])
    level = trial(2, 0.6, 7, fold_values=[0.5, 0.3, 0.8, 0.8])
    assert numbers([best, worse, level])["simplest"] == 2
    assert numbers([best, worse, level], spec(rule="one_standard_error"))["simplest"] == 1


def test_paired_differences_are_taken_in_the_direction_of_the_objective():
    best = trial(0, 0.9, 90, error=0.3, fold_values=[0.8, 0.9, 1.0])
    worse = trial(1, 0.8, 5, fold_values=[0.7, 0.8, 0.91])
    assert numbers([best, worse], ACCURACY)["simplest"] == 0


def test_the_rule_best_takes_the_best_whatever_it_uses():
    trials = [trial(0, 0.50, 90), trial(1, 0.50, 5), trial(2, 0.51, 1)]
    assert numbers(trials, spec(rule="best"))["simplest"] == 0


def test_zeros_of_nets_that_have_not_settled_or_come_of_a_larger_rate_count_for_nothing():
    net = parse_spec({"dataset": "wine"})
    best = trial(0, 0.50, 90, rate=0.01, settled=True)
    unsettled = trial(1, 0.51, 5, rate=0.01, settled=False)
    faster = trial(2, 0.51, 6, rate=0.02, settled=True)
    settled = trial(3, 0.52, 80, rate=0.01, settled=True)
    assert numbers([best, unsettled, faster, settled], net)["simplest"] == 3
    assert numbers([best, unsettled, faster], net)["simplest"] == 0


def test_a_limit_holds_back_whatever_uses_more():
    few = spec(at_most={"features": 3})
    trials = [trial(0, 0.5, 9, features=8.0), trial(1, 0.9, 3, features=3.0)]
    assert numbers(trials, few) == {"best": 0, "simplest": 1}
    assert not within_limits(trials[0], few)
    unknown = trial(2, 0.4, 1)
    assert not within_limits(unknown, few)
    sparse = spec(at_most={"nonzero_weights": 8})
    assert [within_limits(each, sparse) for each in trials] == [False, True]


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
    st.sampled_from([LOSS, ACCURACY]),
)
def test_the_simplest_is_never_denser_than_the_best_nor_beyond_its_standard_error(rows, of):
    trials = [trial(number, *row) for number, row in enumerate(rows)]
    chosen = choose(trials, of)
    simplest, best = chosen["simplest"], chosen["best"]
    values = [t.value for t in trials]
    assert best.value == (max if of.maximise else min)(values)
    assert simplest.facts.nonzero_weights <= best.facts.nonzero_weights
    error = best.facts.standard_error or 0.0
    assert abs(simplest.value - best.value) <= error + 1e-12


def test_nothing_can_be_chosen_from_nothing():
    with pytest.raises(ValueError, match="empty"):
        choose([], LOSS)
