"""Learning curves: one training more, judged on both parts of a split, that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from answering import told_trials, training_of
from sklearn.metrics import mean_squared_error

from ridgeway.shown import Learning
from ridgeway.spec.wording import parse_spec
from workers.answer.choice import choose
from workers.answer.evidence import Evidence
from workers.answer.shown import learning as module
from workers.answer.shown.learning import learning
from workers.answer.shown.parts import Absent
from workers.data.prepare import Prepared, check_and_prepare
from workers.models.building import predict
from workers.population.problem import Problem
from workers.population.results import PopulationResult
from workers.population.state import PopulationState
from workers.population.watch import Watch
from workers.train import train

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(DRAW.normal(size=(160, 5)), columns=[*"abcde"])
TABLE = TABLE.assign(y=40 + 7 * (TABLE["a"] - TABLE["b"] ** 2) + DRAW.normal(size=160))
NONE = {"penalty": "none", "learning_rate": 0.02}
LASSO = {"penalty": "l1", "lambda": 0.01, "learning_rate": 0.02}


def prepared_for(**fields: Any) -> Prepared:
    spec = {"model": {"kind": "mlp", "hidden": [8]}, "optimizer": "adam", "epochs": 12, **fields}
    return check_and_prepare(parse_spec({"dataset": "made up", **spec}), TABLE)


def evidence_of(prepared: Prepared, *params: dict[str, Any]) -> Evidence:
    trials = told_trials(*params)
    return Evidence(prepared.spec, trials, choose(trials, prepared.spec), {}, None, None)


def drawn(prepared: Prepared, *params: dict[str, Any]) -> tuple[Learning, PopulationResult]:
    """Return the curves, and the training that they are of."""
    found: list[PopulationResult] = []

    def watched(problem: Problem, members: Any) -> PopulationResult:
        found.append(train(problem, members))
        return found[-1]

    training = replace(training_of(prepared), train=watched)
    return learning(evidence_of(prepared, *params), prepared, training), found[0]


def test_a_curve_ends_with_what_scikit_learn_says_of_the_model() -> None:
    prepared = prepared_for()
    told, result = drawn(prepared, LASSO, NONE)
    split, parameters = prepared.folds[-1], result.parameters(1, 0)
    _, without = told.curves
    for inputs, truth, value in (
        (split.train_inputs, _own_units(split.train_targets, split), without.training[-1]),
        (split.valid_inputs, split.valid_targets, without.validation[-1]),
    ):
        logits = predict(prepared.spec, parameters, inputs, 1).double()
        theirs = mean_squared_error(truth, split.response("regression", logits)[:, 0])
        assert value == pytest.approx(theirs, rel=1e-5)
    assert (told.training_rows, told.validation_rows) == (
        len(split.train_targets),
        len(split.valid_targets),
    )
    assert [own.roles for own in told.curves] == [["simplest", "best"], ["none"]]
    assert [own.strength for own in told.curves] == [0.01, None]
    assert without.epochs == list(range(1, 13))
    assert without.training[0] > 1.5 * without.training[-1]


def test_rows_beside_change_no_bit() -> None:
    prepared = prepared_for(early_stopping={"patience": 3})
    evidence = evidence_of(prepared, LASSO, NONE)
    members = [evidence.member(trial) for trial in evidence.chosen.values()]
    alone = replace(training_of(prepared).problem, folds=prepared.folds[-1:])
    watched = replace(alone, beside=[module._judged_by_training(alone.folds[0], False, 0)])
    plain, other = train(alone, members), train(watched, members)
    assert plain.beside_curves is None
    assert other.beside_curves is not None
    for name, value in plain.states.items():
        torch.testing.assert_close(other.states[name], value, rtol=0, atol=0)
    np.testing.assert_array_equal(plain.curves, other.curves)
    np.testing.assert_array_equal(plain.member_epochs, other.member_epochs)


def test_a_curve_ends_where_training_diverged() -> None:
    told, _ = drawn(prepared_for(optimizer="sgd"), {**LASSO, "learning_rate": 1e6}, NONE)
    diverged, whole = told.curves
    assert diverged.training[-1] is diverged.validation[-1] is None
    assert len(diverged.epochs) < len(whole.epochs)
    assert None not in whole.training


def test_a_training_that_is_taken_up_again_has_the_same_curves() -> None:
    prepared = prepared_for()
    member = evidence_of(prepared, NONE).member(told_trials(NONE)[0])
    problem = replace(training_of(prepared).problem, folds=prepared.folds[-1:])
    problem = replace(problem, beside=[module._judged_by_training(problem.folds[0], False, 0)])
    states: list[PopulationState] = []
    whole = train(problem, [member], Watch(keep=lambda state: states.append(state())))
    again = train(replace(problem), [member], Watch(start=lambda solver: states[5]))
    assert whole.beside_curves is not None
    np.testing.assert_array_equal(whole.beside_curves, again.beside_curves)


def test_large_parts_are_judged_by_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    monkeypatch.setattr(module, "MOST_EPOCHS", 5)
    prepared = prepared_for()
    told, _ = drawn(prepared, NONE)
    assert (told.training_rows, told.validation_rows) == (20, 20)
    assert told.curves[0].epochs == [1, 4, 6, 9, 12]
    assert told == drawn(prepared, NONE)[0]


def test_what_is_solved_exactly_has_no_epochs() -> None:
    prepared = prepared_for(model={"kind": "linear"}, optimizer="exact")
    with pytest.raises(Absent, match="there are no epochs"):
        drawn(prepared, {"penalty": "none"})


def _own_units(targets: torch.Tensor, split: Any) -> torch.Tensor:
    return split.target_mean + split.target_scale * targets.double()
