"""Facts of a trial go into user attributes and come back, whatever else is there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.study.facts import TrialFacts

reals = st.floats(allow_nan=False, allow_infinity=False)
facts = st.builds(
    TrialFacts,
    standard_error=st.none() | reals,
    nonzero_weights=st.none() | reals,
    weights=st.none() | st.integers(0, 10**9),
    features=st.none() | reals,
    epochs=st.none() | st.integers(1, 10**5),
    converged=st.none() | st.booleans(),
    fold_values=st.none() | st.lists(reals, min_size=1, max_size=5),
    fold_nonzero_weights=st.none() | st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    best_epoch=st.none() | st.integers(1, 10**5),
    lambda_lr_updates=st.none() | reals,
    settled=st.none() | st.booleans(),
    lambda_l2_effective=st.none() | reals,
    note=st.none() | st.text(max_size=20),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | reals | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(facts)
def test_facts_come_back_from_json(told: TrialFacts) -> None:
    assert TrialFacts.read(json.loads(json.dumps(told.attributes()))) == told


@given(facts, st.dictionaries(st.sampled_from(sorted(vars(TrialFacts()))), anything))
def test_whatever_stands_under_our_names_can_be_read(
    told: TrialFacts, others: dict[str, Any]
) -> None:
    read = TrialFacts.read({**told.attributes(), **others})
    for name, value in vars(told).items():
        if name not in others:
            assert getattr(read, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("standard_error", "small"),
        ("standard_error", True),
        ("weights", 3.5),
        ("converged", 1),
        ("fold_values", 0.5),
        ("fold_values", []),
        ("fold_values", [0.5, None]),
        ("fold_nonzero_weights", [1, 2.5]),
        ("note", 7),
    ],
)
def test_another_type_is_read_as_nothing(name: str, value: Any) -> None:
    assert TrialFacts.read({name: value}) == TrialFacts()


def test_only_what_is_known_is_written() -> None:
    assert TrialFacts(epochs=3).attributes() == {"epochs": 3}
    complete = TrialFacts(nonzero_weights=2.0, weights=5)
    assert complete.attributes() == {"standard_error": None, "nonzero_weights": 2.0, "weights": 5}
