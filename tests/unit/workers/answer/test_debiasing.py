"""`"refit": "debias"`: the chosen columns without a penalty, kept and compared on fresh splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from answering import give, trained_trials, training_of
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.metrics import mean_squared_error, r2_score

from ridgeway.answers import Recommended
from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import MODEL
from ridgeway.model.model import Model, read_model
from ridgeway.spec.wording import parse_spec
from workers.answer.answer import Answer
from workers.answer.comparing import corrected_test
from workers.answer.confirmation import fresh_splits
from workers.answer.debiasing import without_penalty
from workers.data.prepare import Prepared, check_and_prepare
from workers.population.configuration import Configuration

pytestmark = pytest.mark.usefixtures("brief")

INPUTS = [f"x{place}" for place in range(8)]
UNWEIGHTED: dict[str, Any] = {"weights": None, "drop": ["often", "count", "three"]}
L1: dict[str, Any] = {"penalty": "l1", "lambda": 0.25}


def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(300, 8))
    signal = inputs[:, 0] - 0.8 * inputs[:, 1] + 0.2 * inputs[:, 2]
    frame = pd.DataFrame(inputs, columns=INPUTS).assign(often=draw.integers(1, 5, 300))
    frame["number"] = 5 + 3 * signal + draw.normal(size=300)
    frame["count"] = draw.poisson(np.exp(0.5 * signal))
    shift = signal + draw.logistic(size=300)
    frame["three"] = np.select([shift < -1, shift < 1], ["low", "middle"], "high")
    return frame


TABLE = table()
TARGETS = ["number", "count", "three"]


def prepared_for(target: str = "number", **fields: Any) -> Prepared:
    given = {
        "dataset": "mine",
        "model": {"kind": "linear"},
        "precision": "float64",
        "target": target,
        "drop": [name for name in TARGETS if name != target],
        "weights": "often",
        "refit": "debias",
        **fields,
    }
    return check_and_prepare(parse_spec(given), TABLE)


def answered(prepared: Prepared, path: Path, *params: dict[str, Any]) -> tuple[Answer, Model]:
    store = Store(str(path))
    given = give(prepared, store, trained_trials(prepared, *params))
    return given, read_model(store.get(given.artifacts[MODEL].address))


@pytest.mark.parametrize(
    ("target", "strength", "fields", "library"),
    [
        ("number", 0.25, {"penalty_factors": {"x7": 0}}, LinearRegression()),
        ("number", 0.05, {"bounds": {"x0": [0, 1], "x1": "nonnegative"}}, LinearRegression()),
        ("count", 0.2, {"loss": "poisson"}, PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000)),
        ("three", 0.1, {}, LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)),
    ],
    ids=["factors", "bounds", "counts", "classes"],
)
def test_the_debiased_model_is_the_librarys_on_the_chosen_columns(
    target: str, strength: float, fields: dict[str, Any], library: Any
) -> None:
    prepared = prepared_for(target, **fields)
    training, fold = training_of(prepared), prepared.development()
    member = Configuration("l1", strength, 0.0, 0.0, 0.0)
    penalised = training.refit(replace(training.problem, folds=[fold]), [member], None).model(0)
    found = without_penalty(member, penalised, fold, training)
    used = (penalised.parameters["weight"] != 0).any(0).numpy()
    weight = found.parameters["weight"].numpy()
    assert 0 < used.sum() == found.features < len(INPUTS)
    assert ((weight != 0).any(0) == used).all()
    rows = TABLE.iloc[prepared.splits.development]
    inputs, targets = fold.train_inputs.numpy(), fold.train_targets.numpy()
    if "bounds" in fields:  # x0 is at its upper end; x1, which wants to be below 0, is left out
        end = float(fold.input_scales[0]) / fold.target_scale  # type: ignore[index]
        assert weight[0, 0] == pytest.approx(end)
        assert not used[1]
        targets, used[0] = targets - end * inputs[:, 0], False
    elif target != "three":
        assert used[7] == ("penalty_factors" in fields)
    library.fit(inputs[:, used], targets, sample_weight=rows["often"])
    theirs, ours = np.atleast_2d(library.coef_), weight[:, used]
    if target == "three":  # of classes only differences tell
        theirs, ours = theirs - theirs.mean(0), ours - ours.mean(0)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_a_model_without_columns_is_what_it_was_and_one_that_tells_classes_apart_is_said_to() -> (
    None
):
    prepared = prepared_for("three", drop=["number", "count"], weights="often")
    training, fold = training_of(prepared), prepared.development()
    apart = replace(fold, train_targets=(fold.train_inputs[:, 0] > 0).long())
    for rows, strength, separated in ((fold, 10.0, False), (apart, 0.05, True)):
        member = Configuration("l1", strength, 0.0, 0.0, 0.0)
        problem = replace(training.problem, folds=[rows])
        penalised = training.refit(problem, [member], None).model(0)
        found = without_penalty(member, penalised, rows, training)
        assert (found is penalised) is not separated
        assert found.separated is separated


@pytest.fixture(scope="module")
def debiased_answer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, Model]:
    return answered(prepared_for(**UNWEIGHTED), tmp_path_factory.mktemp("store"), L1)


def test_each_fresh_split_is_debiased_by_the_columns_of_its_own_training_part(
    debiased_answer: tuple[Answer, Model],
) -> None:
    prepared = prepared_for(**UNWEIGHTED)
    given, model = debiased_answer
    errors, supports, shares = [], set(), []
    for problem in fresh_splits(prepared, training_of(prepared)):
        for fold in problem.folds:
            inputs, targets = fold.train_inputs.numpy(), fold.train_targets.numpy()
            lasso = Lasso(alpha=L1["lambda"] / 2, tol=1e-12).fit(inputs, targets)
            chosen = lasso.coef_ != 0
            plain = LinearRegression().fit(inputs[:, chosen], targets)
            valid = fold.valid_inputs.numpy()
            predicted = [lasso.predict(valid), plain.predict(valid[:, chosen])]
            units = [fold.target_mean + fold.target_scale * each for each in predicted]
            errors.append([mean_squared_error(fold.valid_targets, each) for each in units])
            supports.add(tuple(chosen))
            shares.append(len(valid) / len(inputs))
    assert len(supports) > 1
    told = given.recommended.debias
    assert told is not None
    penalised, debiased = np.array(errors).T
    assert told.penalised == pytest.approx(penalised.mean(), rel=1e-6)
    assert told.debiased == pytest.approx(debiased.mean(), rel=1e-6)
    assert given.recommended.confirmation is not None
    assert given.recommended.confirmation.finalists[0].value == pytest.approx(told.penalised)
    theirs = corrected_test(penalised - debiased, float(np.mean(shares)))
    assert told.interval == pytest.approx(theirs.interval, rel=1e-5)
    assert told.interval is not None
    assert told.interval[0] > 0
    # The sealed rows are scored by the kept model, and told beside the penalised one.
    sealed = TABLE.iloc[prepared.splits.test]
    score = r2_score(sealed["number"], model.predict(sealed))
    assert told.sealed_debiased == pytest.approx(score)
    assert given.recommended.test.metrics["debiased"]["r2"] == pytest.approx(score)
    assert told.sealed_penalised == given.recommended.test.simplest
    low, high = given.recommended.test.interval or (1, 0)
    assert low < score < high


def test_all_else_of_the_answer_is_that_of_a_job_that_does_not_ask(
    debiased_answer: tuple[Answer, Model], tmp_path: Path
) -> None:
    own, _ = debiased_answer
    plain, _ = answered(prepared_for(**UNWEIGHTED, refit="penalised"), tmp_path, L1)
    assert own.recommended.debias is not None
    assert plain.recommended.debias is None

    def others(answer: Recommended) -> dict[str, Any]:
        return answer.model_dump(exclude={"debias", "test"})

    assert others(own.recommended) == others(plain.recommended)
    assert own.recommended.test.simplest == plain.recommended.test.simplest
    assert own.warnings == plain.warnings


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"penalty": "l2", "lambda": 0.1}, "L2, recommended, sets no zeros"),
        ({"penalty": "l1", "lambda": 10.0}, "the constant is recommended"),
    ],
)
def test_nothing_is_debiased_where_no_columns_are_chosen(
    params: dict[str, Any], told: str, tmp_path: Path
) -> None:
    given, _ = answered(prepared_for(), tmp_path, params)
    assert given.recommended.debias is None
    assert "debiased" not in given.recommended.test.loss
    assert any(told in warning for warning in given.warnings)


def test_weights_beyond_a_limit_are_told_of(tmp_path: Path) -> None:
    prepared = prepared_for("three", at_most={"nonzero_weights": 4})
    given, _ = answered(prepared, tmp_path, {"penalty": "l1", "lambda": 0.1})
    assert given.recommended.debias is not None
    assert given.recommended.debias.nonzero_weights > 4
    told = [warning for warning in given.warnings if warning.startswith("The debiased refit has")]
    assert "more than the 4 of `at_most.nonzero_weights`" in told[0]


NETS = {
    "a net": {"model": {"kind": "mlp", "hidden": [8]}},
    "with a skip layer": {"model": {"kind": "mlp", "hidden": [8], "skip": True}},
    "linear in steps": {},
}


@pytest.mark.parametrize("fields", NETS.values(), ids=NETS)
def test_a_model_trained_in_steps_is_that_of_a_table_of_its_columns(fields: dict[str, Any]) -> None:
    own = {"optimizer": "adam", "epochs": 4, "search": {"penalty": ["l1", "group_lasso"]}}
    prepared = prepared_for("three", **{**own, **fields})
    training, fold = training_of(prepared), prepared.development()
    problem = replace(training.problem, folds=[fold])
    member = Configuration("group_lasso", 1e-4, 0.0, 0.01, 0.0)
    penalised = training.refit(problem, [member], None).model(0)
    fed = [name for name, each in penalised.parameters.items() if each.shape[-1:] == (len(INPUTS),)]
    fed = [name for name in fed if penalised.parameters[name].ndim == 2 and name != "2.weight"]
    kept, left = [1, 4, 6], [0, 2, 3, 5, 7]
    for name in fed:  # whichever the penalty would have left
        penalised.parameters[name][:, left] = 0
    found = without_penalty(member, penalised, fold, training, 3)
    narrow = replace(
        fold,
        train_inputs=fold.train_inputs[:, kept],
        valid_inputs=fold.valid_inputs[:, kept],
        input_scales=None if fold.input_scales is None else fold.input_scales[kept],
    )
    few = replace(problem, folds=[narrow], sources=tuple(INPUTS[place] for place in kept))
    free = replace(member, penalty="none", strength=0.0)
    theirs = training.refit(few, [free], [3]).model(0)
    assert found.features == 3
    for name, each in found.parameters.items():
        if name in fed:
            assert (each[:, left] == 0).all()
            each = each[:, kept]
        torch.testing.assert_close(each, theirs.parameters[name], rtol=0, atol=0)


def test_a_nets_answer_is_of_its_columns_trained_again(tmp_path: Path) -> None:
    fields = {"model": {"kind": "mlp", "hidden": [8], "skip": True}, "optimizer": "adam"}
    prepared = prepared_for(**UNWEIGHTED, **fields, epochs=40, schedule="cosine")
    params = {"penalty": "hierarchical", "lambda": 1.6, "learning_rate": 0.01, "weight_decay": 0.0}
    given, model = answered(prepared, tmp_path, params)
    told = given.recommended.debias
    assert told is not None
    assert 0 < told.features < len(INPUTS)  # type: ignore[operator]
    assert told.debiased is not None
    assert told.penalised is not None
    assert told.debiased < told.penalised  # so strong a penalty shrinks what it keeps
    sealed = TABLE.iloc[prepared.splits.test]
    assert told.sealed_debiased == pytest.approx(r2_score(sealed["number"], model.predict(sealed)))
    assert sum(_moves(model, sealed, name) for name in INPUTS) == told.features


def _moves(model: Model, rows: pd.DataFrame, name: str) -> bool:
    """Whether a model's predictions depend on a column."""
    return bool((model.predict(rows.assign(**{name: 0.0})) != model.predict(rows)).any())
