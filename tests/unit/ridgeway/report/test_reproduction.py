"""The code that a report prints makes the recommended model again: run, and compared with it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from reporting import refitted_material

from ridgeway.model.model import Model
from ridgeway.report.reproduction import Reproduction, reproduction
from workers.data.bundled import bundled_frame

NUMBERS, CLASSES = "value", "grade"
APART = ["who", "share", "day", "count"]  # columns that only some jobs use
LINEAR = {"model": {"kind": "linear"}}
NET = {"model": {"kind": "mlp", "hidden": [6, 4]}, "epochs": 6, "batch_size": 32}
LONG = NET | {"epochs": 12}  # the first of which is a dense net's, on a path
SKIPPING = {"kind": "mlp", "hidden": [6], "skip": True}
MIXED = {"penalty": "elastic_net", "lambda": 0.05, "l1_ratio": 0.4}
LASSO = {"penalty": "l1", "lambda": 0.02}
RATES = {"learning_rate": 0.01, "weight_decay": 0.001}


def people() -> pd.DataFrame:
    """A table with gaps, categories, and names that could be mistaken for code."""
    rng = np.random.default_rng(0)
    n = 120
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 9, n).round(1),
            "city": rng.choice(["Oslo", "Rome", "Bern"], n),
            'it\'s "x"\\\n{% x %}': rng.normal(0, 1, n),
            "who": rng.integers(0, 30, n).astype(float),
            "share": rng.integers(0, 4, n).astype(float),
            "day": np.arange(n) % 71.0,
        }
    )
    value = table["age"] / 10 + 2 * (table["city"] == "Oslo") + table.iloc[:, 2]
    table["value"] = value + rng.normal(0, 0.5, n)
    table["count"] = table["value"].abs().round()
    table["grade"] = np.where(value > value.median(), "yes", "no")
    table.loc[rng.choice(n, 12), "age"] = np.nan
    table.loc[rng.choice(n, 6), "city"] = None
    return table


def job(target: str, **fields: Any) -> dict[str, Any]:
    """A job on that table, whose other columns are dropped unless it names them."""
    named = {target}
    named |= {fields[name] for name in ("groups", "weights") if name in fields}
    if "validation" in fields:
        named.add(fields["validation"]["by"])
    drop = [name for name in [*APART, NUMBERS, CLASSES] if name not in named]
    return {"dataset": "people", "target": target, "drop": drop, **fields}


def run(code: Reproduction, which: str, table: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Run the code beside the table's file, as a reader would."""
    table.to_csv(folder / "data.csv", index=False)
    space: dict[str, Any] = {}
    text = f"{code.prepare}\n{getattr(code, which)}"
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, which, "exec"), space)
    return space


def told(space: dict[str, Any]) -> npt.NDArray[Any]:
    return space["probabilities"] if "probabilities" in space else space["predictions"]


def wanted(model: Model, table: pd.DataFrame) -> npt.NDArray[Any]:
    return model.predict_proba(table) if len(model.classes_) else model.predict(table)


LINEAR_JOBS = {
    "no penalty": (job(NUMBERS, **LINEAR), {"penalty": "none"}),
    "lasso": (job(NUMBERS, **LINEAR), LASSO),
    "ridge": (job(NUMBERS, **LINEAR), {"penalty": "l2", "lambda": 0.05}),
    "elastic net": (job(NUMBERS, **LINEAR), MIXED),
    "classes": (job(CLASSES, **LINEAR), MIXED),
    "classes by l1": (job(CLASSES, **LINEAR), LASSO),
    "weights": (job(NUMBERS, **LINEAR, weights="share"), MIXED),
    "weighted, balanced": (
        job(CLASSES, **LINEAR, weights="share", class_weights="balanced"),
        {"penalty": "l2", "lambda": 0.05},
    ),
    "groups": (job(NUMBERS, **LINEAR, groups="who"), MIXED),
    "groups of classes": (job(CLASSES, **LINEAR, groups="who"), MIXED),
    "forward": (
        job(NUMBERS, **LINEAR, validation={"kind": "forward", "folds": 4, "by": "day"}),
        MIXED,
    ),
    "counts": (job("count", **LINEAR, loss="poisson"), {"penalty": "l2", "lambda": 0.05}),
}
BY_TORCH_ALONE = {
    "group lasso": (job(CLASSES, **LINEAR), {"penalty": "group_lasso", "lambda": 0.02}),
    "counts by l1": (job("count", **LINEAR, loss="poisson"), LASSO),
    "huber": (job(NUMBERS, **LINEAR, loss="huber"), MIXED),
}
BY_SCIKIT_LEARN_ALONE = {
    "a quantile": (job(NUMBERS, **LINEAR, loss={"kind": "quantile", "quantile": 0.8}), LASSO),
}
OF_ONE_LIBRARY = BY_TORCH_ALONE | BY_SCIKIT_LEARN_ALONE


@pytest.mark.parametrize("name", [*LINEAR_JOBS, *OF_ONE_LIBRARY])
def test_a_linear_model_comes_out_again(name: str, tmp_path: Path) -> None:
    table = people()
    fields, params = (LINEAR_JOBS | OF_ONE_LIBRARY)[name]
    material, model = refitted_material(fields, table, params)
    code = reproduction(material)
    assert bool(code.sklearn) is (name not in BY_TORCH_ALONE)
    assert bool(code.torch) is (name not in BY_SCIKIT_LEARN_ALONE)
    for which in ("sklearn", "torch"):
        if not getattr(code, which):
            continue
        space = run(code, which, table, tmp_path)
        own = np.atleast_2d(model.coef_)
        found = np.atleast_2d(space["coefficients"])
        assert list(space["inputs"].columns) == list(model.encoded_names_)
        if name != "no penalty":  # the levels of a category add up to one: no unique optimum
            np.testing.assert_allclose(found, own, atol=1e-4 * np.abs(own).max())
            assert ((found == 0) == (own == 0)).all()
        expected = wanted(model, table)
        np.testing.assert_allclose(told(space), expected, atol=1e-4 * np.abs(expected).max())


def test_rows_without_a_target_are_left_out_as_in_the_job(tmp_path: Path) -> None:
    table = people()
    table.loc[::11, NUMBERS] = np.nan
    fields = job(NUMBERS, **LINEAR, missing_target="drop")
    material, model = refitted_material(fields, table, LASSO)
    space = run(reproduction(material), "sklearn", table, tmp_path)
    np.testing.assert_allclose(space["coefficients"], model.coef_, atol=1e-5)


def test_many_classes_of_a_bundled_data_set_come_out_again(tmp_path: Path) -> None:
    table = bundled_frame("wine")
    params = {"penalty": "l2", "lambda": 0.01}
    material, model = refitted_material({"dataset": "wine", **LINEAR}, table, params, bundled=True)
    for which in ("sklearn", "torch"):
        space = run(reproduction(material), which, pd.DataFrame({"no": [1]}), tmp_path)
        np.testing.assert_allclose(told(space), model.predict_proba(table), atol=1e-4)


STEPPED = {
    "adamw": (job(CLASSES, **NET), LASSO | RATES),
    "adam": (job(NUMBERS, **NET, optimizer="adam"), MIXED | RATES | {"weight_decay": 0.0}),
    "sgd": (
        job(NUMBERS, **NET, optimizer="sgd"),
        {"penalty": "group_lasso", "lambda": 0.003} | RATES | {"weight_decay": 0.0},
    ),
    "groups in adamw's metric": (
        job(CLASSES, **NET, group_by="neuron"),
        {"penalty": "sparse_group_lasso", "lambda": 0.01, "l1_ratio": 0.5} | RATES,
    ),
    "all that steps have": (
        job(
            CLASSES,
            **NET,
            schedule="cosine",
            warmup_epochs=2,
            clip_norm=0.5,
            class_weights="balanced",
            label_smoothing=0.1,
            weights="share",
        ),
        {"penalty": "l2", "lambda": 0.01} | RATES,
    ),
    "the subgradient": (job(NUMBERS, **NET, l1_method="subgradient"), LASSO | RATES),
    "biases too": (job(NUMBERS, **NET, penalize="all"), LASSO | RATES),
    "linear by steps": (job(NUMBERS, **LINEAR, optimizer="adamw", epochs=8), LASSO | RATES),
    "counts": (job("count", **NET, loss="poisson"), LASSO | RATES),
    "huber": (job(NUMBERS, **NET, loss="huber"), {"penalty": "none"} | RATES),
    "the median": (job(NUMBERS, **NET, loss="quantile"), LASSO | RATES),
    "a path": (
        job(NUMBERS, **LONG, kind="path", penalty="elastic_net", l1_ratio=0.4, optimizer="adam"),
        MIXED | RATES | {"weight_decay": 0.0},
    ),
    "a path by subgradients": (
        job(CLASSES, **LONG, kind="path", penalty="l1", l1_method="subgradient"),
        LASSO | RATES,
    ),
    "a path that ends early": (
        job(NUMBERS, **NET, kind="path", penalty="group_lasso", early_stopping={"patience": 9}),
        {"penalty": "group_lasso", "lambda": 0.003} | RATES,
    ),
}


@pytest.mark.parametrize("name", STEPPED)
def test_a_model_trained_in_steps_comes_out_again(name: str, tmp_path: Path) -> None:
    table = people()
    fields, params = STEPPED[name]
    material, model = refitted_material(fields, table, params)
    space = run(reproduction(material), "torch", table, tmp_path)
    expected = wanted(model, table)
    np.testing.assert_allclose(told(space), expected, atol=1e-3 * np.abs(expected).max())


# --- what can't be said -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "params", "reason"),
    [
        (LINEAR | {"bounds": {"age": "nonnegative"}}, LASSO, "bounds"),
        (LINEAR | {"penalty_factors": {"age": 0}}, LASSO, "penalty_factors"),
        (LINEAR | {"penalize": "all"}, LASSO, "biases"),
        (LINEAR | {"loss": "quantile"}, MIXED, "pinball loss"),
        (LINEAR | {"search": {"penalty": ["mcp"]}}, {"penalty": "mcp", "lambda": 0.05}, "MCP"),
        (LINEAR | {"search": {"penalty": ["l0.5"]}}, {"penalty": "l0.5", "lambda": 0.05}, "L0.5"),
        (
            LINEAR | {"search": {"penalty": ["adaptive_l1"]}},
            {"penalty": "adaptive_l1", "lambda": 0.05},
            "adaptive L1",
        ),
        (
            NET | {"model": SKIPPING, "search": {"penalty": ["hierarchical"]}},
            {"penalty": "hierarchical", "lambda": 0.05} | RATES,
            "skip layer",
        ),
        (NET | {"model": SKIPPING}, LASSO | RATES, "skip layer"),
    ],
)
def test_settings_that_no_short_code_has_are_told(
    fields: dict[str, Any], params: dict[str, Any], reason: str
) -> None:
    material, _ = refitted_material(job(NUMBERS, **fields), people(), params)
    code = reproduction(material)
    assert not code.there
    assert reason in code.reason


def test_noise_and_dropout_are_said_to_be_drawn_by_other_numbers() -> None:
    params = {"penalty": "none", "dropout": 0.2} | RATES
    fields = job(NUMBERS, **NET, search={"dropout": 0.2})
    material, _ = refitted_material(fields, people(), params)
    code = reproduction(material)
    assert "nn.Dropout(0.2)" in code.torch
    assert "other numbers" in code.exactly
