"""Populations by the full-batch solver: what they reach, who converges, company and memory."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
import torch
from populations import (
    SIDE_BY_SIDE,
    UNEVEN,
    configuration,
    job,
    made_up_fold,
    one_fold,
    refit,
    same_bits,
    train,
)
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from torch import Tensor

from ridgeway.jobs.plan import Engine
from ridgeway.spec.names import PENALTY_NAMES
from ridgeway.spec.spec import JobSpec
from workers.fullbatch import solver
from workers.fullbatch.fista import TOLERANCE
from workers.kernels import load
from workers.models.building import predict
from workers.penalties.conversions import sklearn_least_squares, sklearn_logistic
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.outcomes import outcomes_of
from workers.population.results import PopulationResult


def exact(**fields: Any) -> JobSpec:
    return job(optimizer="exact", model={"kind": "linear"}, **fields)


def member(penalty: str = "none", strength: float = 0.0, **fields: float) -> Configuration:
    return configuration(penalty, strength, learning_rate=0.0, **fields)


def every_penalty(count: int) -> list[Configuration]:
    return [
        member(PENALTY_NAMES[place % len(PENALTY_NAMES)], 10 ** (-1 - place % 3), l1_ratio=0.3)
        for place in range(count)
    ]


# --- against scikit-learn -----------------------------------------------------------------------


def least_squares(own: Configuration, rows: int) -> Any:
    arguments = sklearn_least_squares(own.penalty, own.strength, own.l1_ratio, rows)
    if own.penalty == "l2":
        return Ridge(**arguments)
    kind = {"l1": Lasso, "elastic_net": ElasticNet}[own.penalty]
    return kind(**arguments, tol=1e-14, max_iter=1_000_000)


@pytest.mark.parametrize("name", ["l1", "l2", "elastic_net"])
def test_every_fold_of_a_regression_is_scikit_learns(name: str) -> None:
    inputs, targets = load_diabetes(return_X_y=True)
    folds = [one_fold(inputs[half::2], targets[half::2]) for half in (0, 1)]
    members = [member(name, strength, l1_ratio=0.4) for strength in (0.5, 0.05, 0.005)]
    result = train(exact(task="regression"), members, folds, dtype=torch.float64)
    assert result.converged is not None
    assert result.converged.all()
    for place, own in enumerate(members):
        for number, fold in enumerate(folds):
            theirs = least_squares(own, len(fold.train_targets))
            theirs.fit(fold.train_inputs.numpy(), fold.train_targets.numpy())
            found = result.parameters(place, number)
            assert found["weight"].numpy()[0] == pytest.approx(theirs.coef_, abs=1e-6)
            predicted = fold.target_mean + fold.target_scale * theirs.predict(fold.valid_inputs)
            loss = np.square(predicted - fold.valid_targets.numpy()).mean()
            assert result.fold_values[place, number] == pytest.approx(loss, rel=1e-6)
            assert result.nonzero_weights[place, number] == np.count_nonzero(theirs.coef_)


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_two_classes_are_scikit_learns_with_their_weights(class_weights: str) -> None:
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    members = [member("l2", strength) for strength in (0.1, 0.01)]
    result = train(exact(class_weights=class_weights), members, [fold], dtype=torch.float64)
    for place, own in enumerate(members):
        arguments = sklearn_logistic("l2", own.strength, 0.0, len(fold.train_targets))
        theirs = LogisticRegression(
            **arguments,
            class_weight=None if class_weights == "none" else "balanced",
            solver="newton-cg",
            tol=1e-10,
        ).fit(fold.train_inputs.numpy(), fold.train_targets.numpy())
        found = result.parameters(place, 0)
        assert found["weight"].numpy() == pytest.approx(theirs.coef_, abs=1e-6)
        assert found["bias"].numpy() == pytest.approx(theirs.intercept_, abs=1e-6)


@pytest.mark.parametrize("searched", [True, False])
def test_smoothed_labels_are_trained_and_values_come_from_true_ones(searched: bool) -> None:
    """Where nothing holds it back, smoothing bounds what is predicted: at most 1 - s/2."""
    inputs = torch.tensor([[-1.0], [1.0]]).repeat(20, 1)
    targets = (inputs[:, 0] > 0).long()
    fold = replace(
        made_up_fold(40),
        train_inputs=inputs,
        train_targets=targets,
        valid_inputs=inputs,
        valid_targets=targets,
    )
    how = {"search": {"label_smoothing": [0.2]}} if searched else {"label_smoothing": 0.2}
    result = train(exact(**how), [member(label_smoothing=0.2)], [fold], dtype=torch.float64)
    assert result.parameters(0, 0)["weight"].item() == pytest.approx(math.log(0.9 / 0.1), abs=1e-6)
    assert result.values[0] == pytest.approx(-math.log(0.9), abs=1e-6)


@pytest.mark.parametrize("group_by", ["input", "neuron"])
@pytest.mark.parametrize("penalize", ["weights", "all"])
def test_a_stochastic_optimiser_run_to_convergence_agrees(group_by: str, penalize: str) -> None:
    folds = [made_up_fold(50, classes=3, seed=1)]
    members = [member(name, 0.03) for name in ("l1", "elastic_net", "group_lasso")]
    fields = {"group_by": group_by, "penalize": penalize}
    solved = train(exact(**fields), members, folds, 3, dtype=torch.float64)
    slow = job(optimizer="sgd", model={"kind": "linear"}, epochs=400, batch_size=1000, **fields)
    rates = [replace(own, learning_rate=0.5) for own in members]
    stepped = train(slow, rates, folds, 3, dtype=torch.float64)
    assert solved.weights == stepped.weights
    assert (solved.nonzero_weights == stepped.nonzero_weights).all()
    for name, value in solved.states.items():
        assert torch.allclose(value, stepped.states[name], rtol=0, atol=1e-5)
    assert solved.values == pytest.approx(stepped.values, abs=1e-5)


# --- epochs, curves, who has converged ----------------------------------------------------------


def test_a_trial_ends_with_its_convergence_and_its_curve_stays_there() -> None:
    members = [member("l2", 0.1), member("l1", 2e-4), member("none")]
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    told: list[tuple[int, int]] = []
    spec = exact(epochs=40)
    result = train(
        spec,
        members[:2],
        [fold],
        on_epoch=lambda *epoch: told.append(epoch),
        engine=SIDE_BY_SIDE,
    )
    assert result.converged is not None
    assert result.converged.all()
    quick, slow = result.member_epochs.tolist()
    assert 1 <= quick < slow < 40
    assert told == [(epoch, 40) for epoch in range(1, slow + 1)]
    assert (result.curves[0, quick - 1 :] == result.values[0]).all()
    assert result.curves[1, 0] != result.values[1] == result.curves[1, slow - 1]
    first, second = outcomes_of(spec, members[:2], result, 0)
    assert (len(first.curve), len(second.curve)) == (quick, slow)
    assert (first.facts.epochs, first.facts.converged) == (quick, True)
    assert second.curve[-1] == second.value


def test_who_has_not_converged_by_the_last_epoch_is_told() -> None:
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    members = [member("l1", 1e-5), member("l2", 0.5)]
    spec = exact(epochs=2)
    result = train(spec, members, [fold], dtype=torch.float64, engine=SIDE_BY_SIDE)
    assert result.converged is not None
    assert result.converged.tolist() == [False, True]
    assert result.settled.tolist() == [False, True]
    assert result.values[0] < result.curves[0, 0]  # it was on its way
    facts = [outcome.facts for outcome in outcomes_of(spec, members, result, 0)]
    assert [each.converged for each in facts] == [False, True]
    on_its_way, arrived = (cast("float", each.residual) for each in facts)
    assert 0 < arrived <= TOLERANCE[torch.float64] < on_its_way


def test_what_is_not_solved_one_by_one_takes_its_first_steps_in_the_first_epoch() -> None:
    """Groups of a neuron's weights, which the kernels do not know."""
    spec = exact(epochs=1, group_by="neuron")
    fold = made_up_fold(60, classes=3)
    result = train(spec, [member("group_lasso", 0.01)], [fold], 3)
    (outcome,) = outcomes_of(spec, [member("group_lasso", 0.01)], result, 0)
    assert outcome.value is not None
    assert outcome.value < 0.9 * math.log(3)
    assert outcome.facts.residual is not None
    assert math.isfinite(outcome.facts.residual)


@pytest.mark.parametrize("engine", [None, SIDE_BY_SIDE])
@pytest.mark.parametrize("classes", [2, 3])
def test_an_optimum_that_is_infinite_is_told(classes: int, engine: Engine | None) -> None:
    mixed = made_up_fold(60, classes=classes)
    apart = replace(mixed, train_inputs=mixed.train_inputs.clone())
    apart.train_inputs[:, 4] = mixed.train_targets
    members = [
        member("none"),
        member("l1", 0.01),
        member("l2", 0.0),
        member("none", label_smoothing=0.1),
    ]
    spec = exact(epochs=3)
    result = train(spec, members, [apart, mixed], engine=engine or Engine())
    told = [each.facts.separated_folds for each in outcomes_of(spec, members, result, 0)]
    assert told == [1, None, 1, None]


def test_a_holdout_has_the_standard_error_of_its_rows() -> None:
    fold = made_up_fold(60, classes=0, valid=40)
    result = train(exact(task="regression"), [member("l2", 0.1)], [fold], dtype=torch.float64)
    predicted = predict(exact(task="regression"), result.parameters(0, 0), fold.valid_inputs, 1)
    own_units = fold.target_mean + fold.target_scale * predicted[:, 0]
    losses = (own_units - fold.valid_targets).square()
    assert result.values[0] == pytest.approx(losses.mean().item(), rel=1e-6)
    error = losses.std().item() / math.sqrt(len(losses))
    assert result.standard_errors[0] == pytest.approx(error, rel=0.2)


def test_members_are_solved_in_one_round_and_a_job_looks_up_between_some_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if isinstance(load(torch.float32), str):
        pytest.skip("there is no C compiler")
    monkeypatch.setattr(solver, "CELLS_AT_ONCE", 1)  # as if these data were large
    told: list[tuple[int, int]] = []
    members = [own for own in every_penalty(40) if not PENALTIES[own.penalty].concave][:20]
    result = train(exact(), members, UNEVEN, on_epoch=lambda *epoch: told.append(epoch))
    assert result.converged is not None
    assert result.converged.all()
    assert (result.member_epochs == 1).all()
    assert told == [(1, 90), (31, 90), (61, 90)]


# --- company, memory, divergence ----------------------------------------------------------------


@cache
def crowd() -> PopulationResult:
    return train(exact(), every_penalty(23), UNEVEN)


def assert_same(left: PopulationResult, i: int, right: PopulationResult, j: int) -> None:
    for name in (
        "curves",
        "values",
        "fold_values",
        "standard_errors",
        "nonzero_weights",
        "member_epochs",
        "diverged_at",
        "converged",
        "residuals",
        "separated",
    ):
        ours, theirs = getattr(left, name)[i], getattr(right, name)[j]
        assert np.array_equal(ours, theirs, equal_nan=True), name
    for name in left.states:
        assert same_bits(left.states[name][i], right.states[name][j]), name


@pytest.mark.parametrize("chosen", [[7], [3, 11, 4], list(range(2, 21))])
def test_a_member_is_bitwise_the_same_in_any_company(chosen: list[int]) -> None:
    everyone = every_penalty(23)
    few = train(exact(), [everyone[place] for place in chosen], UNEVEN)
    for position, place in enumerate(chosen):
        assert_same(few, position, crowd(), place)


def test_members_that_do_not_fit_into_memory_together_are_solved_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solver, "MEMORY_FLOATS", 2**13)
    told: list[tuple[int, int]] = []
    result = train(exact(), every_penalty(23), UNEVEN, on_epoch=lambda *epoch: told.append(epoch))
    for place in range(23):
        assert_same(result, place, crowd(), place)
    parts = told[-1][1] // 30
    assert parts > 3
    assert told == sorted(set(told))
    assert {done // 30 for done, _ in told} == set(range(parts))


def test_a_refit_is_bitwise_the_same_model() -> None:
    members, fold = every_penalty(7), UNEVEN[0]
    scored = train(exact(), members, [fold])
    refits = refit(exact(), members, fold)
    for name, value in scored.states.items():
        assert same_bits(value, refits.states[name])
    assert (refits.nonzero_weights == scored.nonzero_weights).all()
    assert refits.converged is not None
    assert refits.converged.all()


@pytest.mark.parametrize("poison", [{"strength": math.nan}, {"label_smoothing": math.inf}])
def test_a_member_that_is_not_finite_fails_alone(poison: dict[str, float]) -> None:
    members = every_penalty(6)
    alone = train(exact(), members, UNEVEN)
    sick = replace(members[2], **poison)
    result = train(exact(), [*members[:3], sick, *members[3:]], UNEVEN)
    assert result.diverged_at.tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert np.isnan(result.curves[3]).all()
    assert (result.states["weight"][3] == 0).all()
    assert result.nonzero_weights[3].tolist() == [0, 0]
    for place in range(6):
        assert_same(result, place + (place > 2), alone, place)
    (outcome,) = outcomes_of(exact(), [sick], _only(result, 3), 0)
    assert outcome.value is None
    assert outcome.reason == "diverged in epoch 1: the loss was no longer finite"


@pytest.mark.parametrize("penalty", ["l1", "elastic_net", "adaptive_l1"])
def test_the_least_strength_that_a_job_may_name_is_next_to_none(penalty: str) -> None:
    fold = made_up_fold(classes=0)
    fold = replace(fold, train_targets=4 * fold.train_targets)  # λ_max over it is no number
    spec = exact(task="regression", search={"penalty": [penalty]})
    result = train(spec, [member(penalty, 1e-308), member()], [fold])
    assert result.converged is not None
    assert result.converged.all()
    np.testing.assert_allclose(result.values[0], result.values[1], rtol=1e-6)


def _only(result: PopulationResult, place: int) -> PopulationResult:
    def of(value: Any) -> Any:
        return value[place : place + 1] if isinstance(value, np.ndarray | Tensor) else value

    fields = {name: of(value) for name, value in vars(result).items()}
    return replace(result, **fields)
