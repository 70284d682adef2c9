"""CONTRIBUTING.md's recipes, each done as it stands there, and what they add at work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from deployments import Installation, wait_until
from recipes import PACKAGES, copy_of_the_tree, recipe, titles
from scipy.stats.qmc import Halton
from sklearn.linear_model import ElasticNet, Ridge

from ridgeway.spec.wording import parse_spec
from workers.data.bundled import bundled_frame
from workers.data.prepare import check_and_prepare

LINEAR = {
    "model": {"kind": "linear"},
    "optimizer": "exact",
    "precision": "float64",
    "validation": {"kind": "folds", "folds": 3},
}
RECIPES = [title for title in titles() if title.startswith("Add ")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree with every recipe done to it."""
    tree = copy_of_the_tree(tmp_path_factory.mktemp("tree"))
    for title in RECIPES:
        recipe(title).apply(tree)
    return tree


@pytest.fixture(scope="module")
def service(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service of that tree with a worker."""
    folder = tmp_path_factory.mktemp("recipes")
    installation = Installation(sys.executable, folder)
    environment = {"PYTHONPATH": str(tree)}
    deployment = installation.serve(folder / "data", workers=1, environment=environment)
    # Not our client: its spec knows nothing of what the recipes add.
    with httpx.Client(base_url=deployment.url, timeout=30) as client:
        yield client
    deployment.stop()


def succeeded(service: httpx.Client, **spec: Any) -> str:
    """Submit a job and wait for its answer; the job's address."""
    posted = service.post("/v1/jobs", json=spec)
    assert posted.status_code == 201, posted.text
    address = posted.headers["Location"]
    wait_until(lambda: service.get(address).json()["state"] not in ("queued", "running"))
    job = service.get(address).json()
    assert job["state"] == "succeeded", job["error"]
    return address


def test_there_are_four_recipes():
    assert [title.rpartition(" a")[2].lstrip("n ") for title in RECIPES] == [
        "penalty",
        "objective",
        "sampler",
        "REST call",
    ]


@pytest.mark.parametrize(
    "check",
    [["ruff", "format", "--check", *PACKAGES], ["ruff", "check", *PACKAGES], ["lint-imports"]],
    ids=" ".join,
)
def test_a_tree_with_all_of_them_passes_the_checks(tree, check):
    command = Path(sys.executable).with_name(check[0])
    done = subprocess.run(
        [command, *check[1:]],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def reference_errors(model_of: Callable[[int], Any]) -> list[np.ndarray]:
    """Return the errors on each fold's judged rows of diabetes of a scikit-learn model.

    model_of: makes the model, from the number of training rows.
    """
    spec = parse_spec({"dataset": "diabetes", "task": "regression", **LINEAR})
    errors = []
    exact = spec.model_copy(update={"precision": "float64"})
    for fold in check_and_prepare(exact, bundled_frame("diabetes")).folds:
        model = model_of(len(fold.train_targets)).fit(fold.train_inputs, fold.train_targets)
        predicted = fold.target_mean + fold.target_scale * model.predict(fold.valid_inputs)
        errors.append(predicted - fold.valid_targets.numpy())
    return errors


def test_a_penalty_is_one_file_one_entry_and_its_name():
    added = recipe("Add a penalty")
    assert list(added.files) == ["workers/penalties/glmnet.py"]
    assert list(added.changes) == ["workers/penalties/penalties.py", "ridgeway/spec/names.py"]


def test_the_penalty_gives_scikit_learn_s_models(service):
    search = {"penalty": ["glmnet"], "lambda": [0.05, 0.5], "l1_ratio": 0.3}
    job = succeeded(service, dataset="diabetes", search=search, sampler="grid", trials=2, **LINEAR)
    for number in range(2):
        trial = service.get(f"{job}/trials/{number}").json()
        # Half of the mean squared error, and so half of the strength.
        model = ElasticNet(alpha=trial["params"]["lambda"] / 2, l1_ratio=0.3, tol=1e-12)
        errors = reference_errors(lambda rows, model=model: model)
        expected = [float((error**2).mean()) for error in errors]
        assert trial["fold_values"] == pytest.approx(expected, rel=1e-6)


def test_the_penalty_s_automatic_range_ends_where_every_weight_is_zero(service):
    search = {"penalty": ["glmnet"], "l1_ratio": 0.3}
    job = succeeded(service, dataset="diabetes", search=search, trials=2, **LINEAR)
    high = service.get(job).json()["lambda_range"]["high"]
    for strength, zeros in ((1.001 * high, True), (0.98 * high, False)):
        search = {**search, "lambda": strength}
        at = succeeded(service, dataset="diabetes", search=search, trials=1, **LINEAR)
        refitted = service.get(at).json()["recommended"]["simplest"]
        assert (refitted["refit_nonzero_weights"] == 0) is zeros


def test_the_objective_is_what_scikit_learn_s_model_scores(service):
    search = {"penalty": ["l2"], "lambda": 0.1}
    spec = {"dataset": "diabetes", "objective": "mae", "search": search, **LINEAR}
    job = succeeded(service, trials=1, **spec)
    errors = reference_errors(lambda rows: Ridge(alpha=0.1 * rows))
    expected = [float(np.abs(error).mean()) for error in errors]
    assert service.get(f"{job}/trials/0").json()["fold_values"] == pytest.approx(expected, rel=1e-6)
    assert service.get(job).json()["recommended"]["test"]["metric"] == "mae"


def test_the_sampler_goes_on_in_one_sequence_from_population_to_population(service):
    search = {"penalty": ["l2"], "lambda": {"low": 0.0, "high": 8.0}, "learning_rate": 0.01}
    spec = {"dataset": "wine", "model": {"kind": "linear"}, "search": search}
    job = succeeded(service, sampler="halton", seed=3, trials=16, epochs=1, **spec)
    trials = service.get(f"{job}/trials").json()["trials"]
    drawn = [trial["params"]["lambda"] for trial in trials]
    # Which coordinate it is, is the sampler's business.
    sequences = [8 * Halton(d, rng=3).random(16)[:, i] for d in range(1, 6) for i in range(d)]
    assert any(np.allclose(drawn, sequence) for sequence in sequences)


def test_a_rest_call_answers_and_is_in_the_document(service):
    job = succeeded(
        service,
        dataset="wine",
        model={"kind": "linear"},
        search={"penalty": ["l1", "l2"], "lambda": 1e-3},
        trials=6,
        epochs=2,
    )
    counted = service.get(f"{job}/penalties").json()
    assert {each["penalty"] for each in counted} <= {"l1", "l2"}
    assert sum(each["complete"] for each in counted) == 6
    assert service.get("/v1/jobs/00000000/penalties").status_code == 404
    assert "/v1/jobs/{id}/penalties" in service.get("/openapi.json").json()["paths"]
