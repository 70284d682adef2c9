"""A job with `optimizer: "exact"`, from POST to the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors import safe_open
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.features import Features
from ridgeway.jobs import lifecycle
from ridgeway.model.model import read_model
from ridgeway.paths import RegularisationPath
from ridgeway.settings import Settings
from ridgeway.spec.wording import parse_spec
from workers.data.bundled import bundled_frame
from workers.data.prepare import check_and_prepare
from workers.loop.worker import Worker

LINEAR = {"model": {"kind": "linear"}, "optimizer": "exact", "precision": "float64", "trials": 24}


def finished(
    http: httpx.Client, database: Database, settings: Settings, **fields: Any
) -> dict[str, Any]:
    posted = http.post("/v1/jobs", json={**LINEAR, **fields})
    assert posted.status_code == 201, posted.text
    worker = Worker(
        database, Store(settings.resolved_store_url()), settings, lifecycle.new_id(), "cpu"
    )
    while worker.work_once():
        pass
    return http.get(posted.headers["location"]).json()


def theirs(params: dict[str, Any], arguments: dict[str, float], classes: bool) -> Any:
    if classes:
        solver = "newton-cg" if params["penalty"] == "l2" else "saga"
        return LogisticRegression(**arguments, solver=solver, tol=1e-10, max_iter=100_000)
    if params["penalty"] == "l2":
        return Ridge(**arguments)
    kind = {"l1": Lasso, "elastic_net": ElasticNet}[params["penalty"]]
    return kind(**arguments, tol=1e-14, max_iter=1_000_000)


@pytest.mark.parametrize(
    ("dataset", "penalties", "lowest"),
    [("diabetes", ["none", "l1", "elastic_net"], 1e-4), ("breast_cancer", ["l1", "l2"], 0.02)],
)
def test_the_recommended_model_is_scikit_learns_at_the_reported_strength(
    http: httpx.Client,
    database: Database,
    service_settings: Settings,
    tmp_path: Path,
    dataset: str,
    penalties: list[str],
    lowest: float,
) -> None:
    strengths = {"low": lowest, "high": 1.0, "log": True}
    search = {"penalty": penalties, "lambda": strengths}
    job = finished(http, database, service_settings, dataset=dataset, search=search)
    assert job["state"] == "succeeded", job["error"]
    assert job["progress"]["complete"] == 24
    assert job["warnings"] == []
    chosen = job["recommended"]["simplest"]
    assert set(chosen["params"]) <= {"penalty", "lambda", "l1_ratio"}
    spec = parse_spec(job["spec"])
    rows = check_and_prepare(spec, bundled_frame(dataset)).development()
    model = theirs(chosen["params"], chosen["equivalents"]["sklearn"], dataset == "breast_cancer")
    model.fit(rows.train_inputs.numpy(), rows.train_targets.numpy())
    path = tmp_path / "model.safetensors"
    path.write_bytes(http.get(f"/v1/jobs/{job['id']}/model").content)
    with safe_open(path, "np") as kept:
        weight, bias = kept.get_tensor("weight"), kept.get_tensor("bias")
    np.testing.assert_allclose(weight[0], np.ravel(model.coef_), rtol=0, atol=1e-5)
    np.testing.assert_allclose(bias, np.ravel(model.intercept_), rtol=0, atol=1e-5)
    assert chosen["refit_nonzero_weights"] == np.count_nonzero(model.coef_)
    traced = http.get(job["links"]["path"])
    assert traced.headers["content-type"] == "application/json"
    told = RegularisationPath.model_validate(traced.json())
    assert told.penalty == chosen["params"]["penalty"]
    assert told.recommended_strength == chosen["params"]["lambda"]
    assert all(point.value is not None for point in told.points)
    features = Features.model_validate(http.get(job["links"]["features"]).json())
    assert sum(feature.used for feature in features.features) == chosen["selected_features"]
    assert features.stability is not None
    assert features.stability.pairs == 50
    best = http.get(f"/v1/jobs/{job['id']}/trials/{job['best']['number']}").json()
    assert best["attributes"]["converged"]
    assert len(best["curve"]) == best["attributes"]["epochs"] < 30


def test_a_job_warns_of_trials_that_have_not_converged(
    http: httpx.Client,
    database: Database,
    service_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without kernels, whose steps arrive in one round."""
    monkeypatch.setattr("workers.fullbatch.solver.load", lambda dtype: "there is no C compiler")
    search = {"penalty": "l1", "lambda": [1e-5, 0.2]}
    job = finished(
        http,
        database,
        service_settings,
        dataset="breast_cancer",
        search=search,
        trials=6,
        epochs=1,
        validation={"kind": "folds", "folds": 2},
    )
    assert job["state"] == "succeeded", job["error"]
    assert any(
        warning.endswith("lets them arrive.") and "of 6 complete trials" in warning
        for warning in job["warnings"]
    )


def test_a_job_says_that_its_unpenalised_optimum_is_infinite(
    http: httpx.Client, database: Database, service_settings: Settings
) -> None:
    search = {"penalty": ["none", "l2"], "lambda": [0.001, 0.1]}
    job = finished(http, database, service_settings, dataset="wine", search=search)
    assert job["state"] == "succeeded", job["error"]
    assert job["warnings"] == []
    (found,) = (each for each in job["recommended"]["checks"] if each["code"] == "separable")
    told = found["sentence"]
    assert told.startswith("In 5 of 5 training splits the inputs tell the classes apart")
    assert told.endswith("λ = 0.00100 is the least tried that bounds it.")


def test_balanced_classes_and_penalised_intercepts_have_no_equivalent(
    http: httpx.Client, database: Database, service_settings: Settings
) -> None:
    for fields in ({"class_weights": "balanced"}, {"penalize": "all"}):
        job = finished(
            http,
            database,
            service_settings,
            dataset="breast_cancer",
            trials=4,
            search={"penalty": "l2"},
            **fields,
        )
        assert job["state"] == "succeeded", job["error"]
        assert job["recommended"]["best"]["equivalents"] is None


def test_a_column_of_factor_0_is_in_every_model_of_the_path(
    http: httpx.Client, database: Database, service_settings: Settings
) -> None:
    factors = {"age": 0, "s5": 4}
    job = finished(
        http,
        database,
        service_settings,
        dataset="diabetes",
        search={"penalty": "l1"},
        penalty_factors=factors,
        trials=12,
    )
    assert job["state"] == "succeeded", job["error"]
    assert parse_spec(job["spec"]).penalty_factors == factors
    assert job["recommended"]["best"]["equivalents"] is None
    told = RegularisationPath.model_validate(http.get(job["links"]["path"]).json())
    used = [list(point.coefficients or {}) for point in told.points]
    assert used[0] == ["age"]  # at λ_max
    assert all("age" in own for own in used)
    enters = {
        name: next(place for place, own in enumerate(used) if name in own) for name in used[-1]
    }
    assert enters["bmi"] < enters["bp"] < enters["s5"]  # without its factor s5 comes before bp
    features = Features.model_validate(http.get(job["links"]["features"]).json())
    assert {own.name for own in features.features if own.frequency is None} == {"age"}


def test_a_debiased_job_keeps_the_plain_model_of_the_chosen_columns(
    http: httpx.Client, database: Database, service_settings: Settings
) -> None:
    job = finished(
        http,
        database,
        service_settings,
        dataset="diabetes",
        search={"penalty": "l1", "lambda": {"low": 0.1, "high": 0.5}},
        trials=8,
        refit="debias",
    )
    assert job["state"] == "succeeded", job["error"]
    for penalty, kind in (("l1", "debias"), ("l2", "penalised")):  # the latter sets no zeros
        beside = http.post(f"/v1/jobs/{job['id']}/path", json={"penalty": penalty})
        assert beside.status_code == 201, beside.text
        assert beside.json()["spec"]["refit"] == kind
    told = job["recommended"]["debias"]
    assert told["features"] == job["recommended"]["simplest"]["selected_features"] < 10
    assert told["interval"][0] < told["difference"] < told["interval"][1]
    model = read_model(http.get(f"/v1/jobs/{job['id']}/model").content)
    rows = check_and_prepare(parse_spec(job["spec"]), bundled_frame("diabetes")).splits.development
    known = bundled_frame("diabetes").iloc[rows]
    used = np.flatnonzero(model.coef_)
    assert len(used) == told["features"]
    plain = LinearRegression().fit(known.iloc[:, used], known["target"])
    np.testing.assert_allclose(model.coef_[used], plain.coef_, rtol=1e-5)
    assert model.intercept_ == pytest.approx(plain.intercept_, rel=1e-5)
    features = Features.model_validate(http.get(job["links"]["features"]).json()).features
    own = {each.name: each.coefficients for each in features if each.used}
    for name, coefficient in zip(known.columns[used], plain.coef_, strict=True):
        assert own[name] == {name: [pytest.approx(coefficient, rel=1e-5)]}
