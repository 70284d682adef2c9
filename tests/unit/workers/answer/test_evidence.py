"""What an answer says and claims, on data whose truth is known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from answering import give, told_trials, trained_trials, training_of
from safetensors import safe_open

from ridgeway.answers import Recommended
from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import MODEL
from ridgeway.spec.wording import parse_spec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import choose
from workers.answer.confirmation import confirm, twin
from workers.answer.refits import refitted
from workers.answer.verdict import Findings, verdict
from workers.data.prepare import Prepared, check_and_prepare
from workers.population.configuration import Configuration

PARAMS: tuple[dict[str, Any], ...] = (
    {"penalty": "none"},
    {"penalty": "l1", "lambda": 0.02},
    {"penalty": "l1", "lambda": 0.2},
    {"penalty": "l2", "lambda": 0.05},
)


def prepared_of(frame: pd.DataFrame, **fields: Any) -> Prepared:
    model = {"model": {"kind": "linear"}, "search": {"penalty": ["none", "l1", "l2"]}}
    return check_and_prepare(parse_spec({"dataset": "mine", **model, **fields}), frame)


def table(rows: int, columns: int, telling: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(rows, columns))
    target = inputs[:, :telling].sum(1) + draw.normal(size=rows)
    return pd.DataFrame(inputs, columns=[f"x{i}" for i in range(columns)]).assign(y=target)


def recommended(prepared: Prepared, tmp_path: Path, looks: int = 0) -> Recommended:
    trials = trained_trials(prepared, *PARAMS)
    return give(prepared, Store(str(tmp_path)), trials, looks).recommended


def codes(answer: Recommended) -> list[str]:
    return [check.code for check in answer.checks]


def test_of_noise_the_constant_is_recommended_and_its_file_predicts_it(tmp_path: Path) -> None:
    prepared = prepared_of(table(240, 30, 0), test_fraction=0.5)
    store = Store(str(tmp_path))
    given = give(prepared, store, trained_trials(prepared, *PARAMS))
    answer = given.recommended
    assert answer.verdict is not None
    assert (answer.choice, answer.verdict.claim) == ("baseline", "no_signal")
    assert answer.verdict.sentence.startswith("No evidence was found that these inputs help")
    assert answer.baseline.validation is not None
    path = tmp_path / "model.safetensors"
    path.write_bytes(store.get(given.artifacts[MODEL].address))
    with safe_open(path, "np") as model:
        assert not model.get_tensor("weight").any()
        assert model.metadata()["role"] == "baseline"
        mean = float(model.metadata()["target_mean"])
        predicted = mean + float(model.metadata()["target_scale"]) * model.get_tensor("bias")
    development = prepared.development()
    assert predicted == pytest.approx(development.valid_targets.mean().item())


def test_a_benefit_is_claimed_where_folds_and_sealed_rows_agree(tmp_path: Path) -> None:
    answer = recommended(prepared_of(table(300, 80, 3), test_fraction=0.5), tmp_path)
    assert answer.verdict is not None
    assert (answer.choice, answer.verdict.claim) == ("simplest", "benefit")
    assert "lowers the loss by" in answer.verdict.sentence
    against = {each.rival: each for each in answer.comparisons}
    assert against["none"].claimed
    assert against["baseline"].claimed
    assert against["none"].sealed_interval is not None
    assert against["none"].sealed_interval[0] > 0
    assert against["twin"].difference == pytest.approx(against["none"].difference)


def test_few_sealed_rows_are_told_and_claim_nothing(tmp_path: Path) -> None:
    answer = recommended(prepared_of(table(300, 80, 3), test_fraction=0.2), tmp_path)
    assert answer.verdict is not None
    assert answer.verdict.claim == "none_detected"
    assert "60 sealed rows are too few to claim it" in answer.verdict.sentence
    assert "few_rows" in codes(answer)


def test_a_verdict_begins_as_a_sentence_does() -> None:
    (trial,) = told_trials({"penalty": "elastic_net", "lambda": 0.1, "l1_ratio": 0.5})
    found = Findings(
        spec=parse_spec({"dataset": "mine"}),
        trial=trial,
        is_constant=False,
        is_limited=False,
        constant=None,
        unpenalised=None,
        best=None,
        features=None,
        rows=100,
        confirmation=None,
    )
    assert verdict(found).sentence.startswith("Elastic net at λ = 0.1")


def test_where_every_column_tells_no_penalty_is_recommended(tmp_path: Path) -> None:
    answer = recommended(prepared_of(table(600, 4, 4), test_fraction=0.4), tmp_path)
    assert answer.verdict is not None
    assert answer.verdict.claim == "none_detected"
    assert answer.simplest.params["penalty"] == "none"
    assert answer.verdict.sentence.startswith("No penalty is recommended")
    assert "It beats the constant by" in answer.verdict.sentence


def test_each_penalty_has_a_row_with_its_distance_to_the_best(tmp_path: Path) -> None:
    answer = recommended(prepared_of(table(300, 20, 3)), tmp_path)
    rows = {row.penalty: row for row in answer.penalties}
    assert set(rows) == {"none", "l1", "l2"}
    assert sum(row.trials for row in rows.values()) == len(PARAMS)
    assert rows[str(answer.best.params["penalty"])].behind == 0
    assert all(row.behind is not None and row.behind >= 0 for row in rows.values())
    assert all(row.confirmed is not None for row in rows.values())
    assert [row.behind for row in answer.penalties] == sorted(r.behind or 0 for r in rows.values())


def test_a_limit_that_no_trial_keeps_leaves_the_constant(tmp_path: Path) -> None:
    frame = table(300, 6, 6)
    answer = recommended(prepared_of(frame, at_most={"features": 0}), tmp_path)
    assert answer.choice == "baseline"
    assert answer.verdict is not None
    assert answer.verdict.claim == "beyond_limits"  # and not that these inputs don't help
    assert answer.verdict.sentence.startswith("No trial keeps to `at_most.features` 0, so the ")
    assert "p < 0.001" in answer.verdict.sentence


def test_the_best_within_a_limit_is_recommended_where_the_rule_is_the_best(tmp_path: Path) -> None:
    prepared = prepared_of(table(300, 8, 2), at_most={"features": 3}, rule="best")
    answer = recommended(prepared, tmp_path)
    assert answer.choice == "simplest"
    assert answer.simplest.number != answer.best.number
    assert answer.simplest.params["lambda"] == 0.2  # which uses few


def test_a_net_is_set_beside_a_linear_model_and_its_other_initialisations(tmp_path: Path) -> None:
    prepared = check_and_prepare(
        parse_spec(
            {"dataset": "mine", "model": {"kind": "mlp", "hidden": [4]}, "epochs": 5, "trials": 9}
        ),
        table(200, 5, 3),
    )
    params = [{"learning_rate": 0.01, **given} for given in PARAMS[:2]]
    trials = trained_trials(prepared, *params)
    answer = give(prepared, Store(str(tmp_path)), trials).recommended
    assert answer.linear is not None
    assert answer.confirmation is not None
    assert answer.confirmation.finalists[-1].name == "linear"
    assert len(answer.confirmation.initialisations) == 3
    assert len(set(answer.confirmation.initialisations)) == 3
    assert "worse_than_linear" in codes(answer)
    assert answer.test.linear is not None


def test_metrics_are_scikit_learns(tmp_path: Path) -> None:
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    prepared = prepared_of(table(300, 6, 3))
    answer = recommended(prepared, tmp_path)
    sealed = prepared.sealed()
    truth = sealed.valid_targets.numpy()
    constant = np.full(len(truth), sealed.target_mean)
    found = answer.test.metrics["baseline"]
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, constant))
    assert found["mse"] == pytest.approx(mean_squared_error(truth, constant))
    assert found["r2"] == pytest.approx(r2_score(truth, constant))
    interval = answer.test.interval
    assert interval is not None
    assert answer.test.simplest is not None
    assert interval[0] < answer.test.simplest < interval[1]


def test_checks_tell_edges_and_looks(tmp_path: Path) -> None:
    prepared = prepared_of(table(200, 4, 4), search={"penalty": ["l2"], "lambda": "auto"})
    trials = trained_trials(prepared, {"penalty": "l2", "lambda": 1e-4})
    answer = give(prepared, Store(str(tmp_path)), trials, looks=2).recommended
    assert {"best_at_edge", "seal_seen_before"} <= set(codes(answer))
    fresh = give(prepared, Store(str(tmp_path)), trials).recommended
    assert "seal_seen_before" not in codes(fresh)
    middle = trained_trials(prepared, {"penalty": "l2", "lambda": 0.01})
    inside = give(prepared, Store(str(tmp_path)), middle).recommended
    assert "best_at_edge" not in codes(inside)


def test_a_best_trial_without_weights_is_told_to_be_the_constant(tmp_path: Path) -> None:
    prepared = prepared_of(table(200, 4, 0), search={"penalty": ["l1"], "lambda": "auto"})
    trials = trained_trials(prepared, {"penalty": "l1", "lambda": 10.0})
    answer = give(prepared, Store(str(tmp_path)), trials).recommended
    assert answer.verdict is not None
    assert answer.verdict.sentence == (
        "No evidence was found that these inputs help, so the constant is recommended: the best "
        "trial, L1 at λ = 10.0, predicts the constant as well."
    )
    assert "best_at_edge" not in codes(answer)  # beyond it there is nothing else


# --- the seal ---------------------------------------------------------------------------------


def before_the_seal(prepared: Prepared) -> tuple[list[StudyTrial], Any, Any, dict[str, Any]]:
    trials = trained_trials(prepared, *PARAMS)
    chosen = choose(trials, prepared.spec)
    members = [Configuration.from_params(prepared.spec, trial.params) for trial in trials]
    members += [found for each in members if (found := twin(each)) is not None]
    confirmed = confirm(members, prepared, training_of(prepared))
    refits = refitted(chosen, prepared, training_of(prepared))
    return trials, chosen, confirmed, dict(refits.by_role["simplest"].model.parameters)


@pytest.mark.parametrize("poison", [1e12, np.nan])
def test_sealed_rows_change_nothing_before_the_last_step(poison: float) -> None:
    frame = table(240, 10, 3)
    clean = prepared_of(frame)
    spoilt = frame.copy()
    sealed = clean.splits.test
    spoilt.loc[sealed, ["x0", "x5"]] = poison
    spoilt.loc[sealed, "y"] = spoilt.loc[sealed, "y"] * -7 + 100
    first, second = before_the_seal(clean), before_the_seal(prepared_of(spoilt))
    assert [t.value for t in first[0]] == [t.value for t in second[0]]
    assert {r: t.number for r, t in first[1].items()} == {r: t.number for r, t in second[1].items()}
    for member, values in first[2].scores.items():
        np.testing.assert_array_equal(values, second[2].scores[member])
    for name, tensor in first[3].items():
        assert torch.equal(tensor, second[3][name])


# --- the documents ----------------------------------------------------------------------------


def test_every_check_has_a_section_and_every_section_a_check() -> None:
    root = Path(__file__).parents[4]
    told = set(re.findall(r"^### (\w+)$", (root / "docs/checks.md").read_text(), re.MULTILINE))
    code = "".join(path.read_text() for path in (root / "workers/answer").glob("*check*.py"))
    assert told == set(re.findall(r'code="(\w+)"', code))
