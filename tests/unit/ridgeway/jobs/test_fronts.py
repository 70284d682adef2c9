"""Which trials no other beats."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.errors import InvalidInput
from ridgeway.jobs.fronts import pareto_front
from ridgeway.spec.combinations import combination_errors, objective_warnings
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

SMALL = st.integers(-3, 3).map(float)


@given(st.lists(st.tuples(SMALL, SMALL), max_size=30))
def test_the_front_is_optunas(points: list[tuple[float, float]]) -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.add_trials([optuna.trial.create_trial(values=list(point)) for point in points])
    expected = {trial.number for trial in study.best_trials}
    found = pareto_front(dict(enumerate(points)))
    assert set(found) == expected
    assert [points[number] for number in found] == sorted(points[number] for number in expected)


def test_with_one_objective_the_front_is_every_best_trial() -> None:
    assert pareto_front({4: [1.0], 2: [0.5], 7: [0.5]}) == [2, 7]


def parsed(**fields: object) -> JobSpec:
    return parse_spec({"dataset": "digits", **fields})


def test_the_first_of_the_objectives_is_the_objective() -> None:
    spec = parsed(objectives=["accuracy", "nonzero_weights"])
    assert (spec.objective, spec.maximise) == ("accuracy", True)
    assert spec.directions == [True, False]
    assert JobSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert combination_errors(spec) == []


@pytest.mark.parametrize(
    "objectives", [[], ["nonzero_weights"], ["loss", "accuracy"], ["loss"] * 2, ["loss"] * 3]
)
def test_other_objectives_are_refused(objectives: list[str]) -> None:
    with pytest.raises(InvalidInput, match="objectives"):
        parsed(objectives=objectives)


def test_objectives_that_contradict_the_spec_are_named() -> None:
    two = ["loss", "nonzero_weights"]
    spec = parsed(objectives=two, objective="accuracy", pruner="median")
    assert {error.field for error in combination_errors(spec)} == {"objective", "pruner"}


def test_a_sampler_that_learns_from_one_objective_says_so() -> None:
    two = ["loss", "nonzero_weights"]
    assert "learns from loss alone" in objective_warnings(parsed(objectives=two))[0]
    assert objective_warnings(parsed(objectives=two, sampler="qmc")) == []
    assert objective_warnings(parsed(objectives=["loss"])) == []
