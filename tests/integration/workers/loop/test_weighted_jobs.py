"""A job with sample weights, from the upload to the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.features import Features
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import check_and_prepare
from workers.loop.worker import Worker

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LINEAR = {"model": {"kind": "linear"}, "precision": "float64", "search": {"penalty": ["l2"]}}
NET = {"model": {"kind": "mlp", "hidden": [6]}, "epochs": 3, "search": {"penalty": ["none", "l1"]}}


def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(300, 4))
    weights = draw.integers(0, 5, 300) / 2
    target = inputs[:, 0] - inputs[:, 1] + draw.normal(size=300)
    columns = {f"x{i}": inputs[:, i] for i in range(4)}
    return pd.DataFrame({**columns, "times": weights, "y": target})


def uploaded(http: httpx.Client) -> None:
    body = table().to_csv(index=False).encode()
    assert http.post("/v1/datasets?name=survey", content=body).status_code == 201


@pytest.mark.parametrize("fields", [LINEAR, NET], ids=["linear", "mlp"])
def test_a_weighted_job_is_answered_by_its_weights(
    http: httpx.Client,
    database: Database,
    service_settings: Settings,
    tmp_path: Path,
    fields: dict[str, Any],
) -> None:
    uploaded(http)
    body = {"dataset": "survey", "weights": "times", "trials": 6, "objective": "r2", **fields}
    posted = http.post("/v1/jobs", json=body)
    assert posted.status_code == 201, posted.text
    store = Store(service_settings.resolved_store_url())
    worker = Worker(database, store, service_settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    job = http.get(posted.headers["location"]).json()
    assert (job["state"], job["error"]) == ("succeeded", None)
    prepared = check_and_prepare(parse_spec(job["spec"]), table())
    weights, target = (table()[name].to_numpy() for name in ("times", "y"))
    rows = prepared.splits.test
    answer = job["recommended"]
    assert answer["test"]["rows"] == len(rows) < 60
    assert (weights[rows] > 0).all()
    features = Features.model_validate(http.get(job["links"]["features"]).json())
    assert sorted(feature.name for feature in features.features) == ["x0", "x1", "x2", "x3"]
    if fields is NET:
        return
    development = prepared.splits.development
    chosen, given = answer["best"], prepared.sealed()
    model = Ridge(**chosen["equivalents"]["sklearn"])
    model.fit(given.train_inputs, given.train_targets, sample_weight=weights[development])
    path = tmp_path / "model.safetensors"
    path.write_bytes(http.get(f"/v1/jobs/{job['id']}/model").content)
    with safe_open(path, "np") as kept:
        np.testing.assert_allclose(kept.get_tensor("weight")[0], model.coef_, rtol=0, atol=1e-6)
        mean = float(kept.metadata()["target_mean"])
    assert mean == pytest.approx(np.average(target[development], weights=weights[development]))
    predicted = mean + given.target_scale * model.predict(given.valid_inputs)
    score = r2_score(target[rows], predicted, sample_weight=weights[rows])
    assert answer["test"]["best"] == pytest.approx(score, abs=1e-6)


def test_the_door_refuses_what_weighs_no_rows(http: httpx.Client) -> None:
    uploaded(http)
    for name, message in (("x0", "a weight below 0"), ("size", "no such column")):
        refused = http.post("/v1/jobs", json={"dataset": "survey", "weights": name})
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert (error["field"], error["value"]) == ("weights", name)
        assert message in error["message"]
