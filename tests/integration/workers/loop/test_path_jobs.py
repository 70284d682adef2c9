"""Path jobs from submission to the path, next to scikit-learn's cross-validated ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import submitting
from killing import Killed, lose
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import artifacts, lifecycle, lookups
from ridgeway.jobs.own_trials import own_complete_trials
from ridgeway.paths import RegularisationPath
from ridgeway.settings import Settings
from ridgeway.views import Job
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare
from workers.fullbatch import solver
from workers.loop.tools import Doors
from workers.loop.worker import Worker

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

LINEAR = {"kind": "path", "trials": None, "model": {"kind": "linear"}, "precision": "float64"}
GIVEN = [0.3, 0.2, 0.1, 0.05, 0.03, 0.02]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, checkpoint_seconds=1e-9)


def make_worker(
    database: Database, settings: Settings, on_epoch: Callable[[int, int], None] | None = None
) -> Worker:
    doors = Doors() if on_epoch is None else Doors(on_epoch=on_epoch)
    store = Store(settings.resolved_store_url())
    return Worker(database, store, settings, lifecycle.new_id(), "cpu", doors)


def finished(database: Database, settings: Settings, job_id: str) -> tuple[Job, RegularisationPath]:
    worker = make_worker(database, settings)
    while worker.work_once():
        pass
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        assert job.state == "succeeded", job.error
        kept = artifacts.find_artifact(transaction, job_id, artifacts.PATH)
    file = Store(settings.resolved_store_url()).get(kept.address)
    return job, RegularisationPath.model_validate_json(file)


def least_squares(strength: float, ratio: float, rows: int) -> BaseEstimator:
    """alpha * l1_ratio = λ r / 2, alpha * (1 - l1_ratio) = λ (1 - r), on a standardised target."""
    alpha = strength * (1 - ratio / 2)
    model = ElasticNet(
        alpha=alpha, l1_ratio=strength * ratio / 2 / alpha, tol=1e-9, max_iter=100_000
    )
    scaled = make_pipeline(StandardScaler(), model)
    return TransformedTargetRegressor(scaled, transformer=StandardScaler())


def logistic(strength: float, ratio: float, rows: int) -> BaseEstimator:
    """C = 1 / (n λ); liblinear penalises the intercept, and so hardly does."""
    hardly: dict[str, Any] = {"solver": "liblinear", "intercept_scaling": 3000, "tol": 1e-8}
    model = LogisticRegression(C=1 / (rows * strength), l1_ratio=ratio, **hardly)
    return make_pipeline(StandardScaler(), model)


Library = Callable[[float, float, int], BaseEstimator]


def loss(model: Any, inputs: np.ndarray, targets: np.ndarray) -> float:
    if hasattr(model, "predict_proba"):
        return log_loss(targets, model.predict_proba(inputs))
    return mean_squared_error(targets, model.predict(inputs))


def support(model: Any) -> int:
    pipeline = getattr(model, "regressor_", model)
    return int(np.count_nonzero(pipeline[-1].coef_))


def library_path(
    prepared: Prepared, library: Library, strengths: list[float], ratio: float
) -> tuple[np.ndarray, list[int]]:
    """Return the losses (P, F) on the job's folds, and the sizes of the refits' supports."""
    frame, target = bundled_frame(prepared.spec.dataset), str(prepared.spec.target)
    inputs, targets = frame.drop(columns=target).to_numpy(), frame[target].to_numpy()

    def fit(strength: float, rows: Any) -> Any:
        return library(strength, ratio, len(rows)).fit(inputs[rows], targets[rows])  # type: ignore[attr-defined]

    losses = [
        [loss(fit(own, train), inputs[valid], targets[valid]) for train, valid in folds]
        for own in strengths
        for folds in [prepared.splits.folds]
    ]
    development = prepared.splits.development
    return np.array(losses), [support(fit(own, development)) for own in strengths]


@on_sqlite
@pytest.mark.parametrize(
    ("fields", "library", "count"),
    [
        ({"dataset": "diabetes", "penalty": "l1", "strengths": 25}, least_squares, 25),
        (
            {"dataset": "diabetes", "penalty": "elastic_net", "l1_ratio": 0.7, "strengths": 12},
            least_squares,
            12,
        ),
        ({"dataset": "breast_cancer", "penalty": "l1", "strengths": GIVEN}, logistic, 6),
    ],
)
def test_a_path_job_is_scikit_learns_cross_validated_path(
    database: Database,
    settings: Settings,
    fields: dict[str, Any],
    library: Library,
    count: int,
) -> None:
    job_id = submitting.submit_resolved(database, **LINEAR, **fields)
    job, path = finished(database, settings, job_id)
    assert (job.progress.trials, job.progress.complete, job.progress.fraction) == (count, count, 1)
    strengths = [point.strength for point in path.points]
    assert len(strengths) == count
    assert strengths == sorted(strengths, reverse=True)
    assert isinstance(job.spec, lookups.JobSpec)
    prepared = check_and_prepare(job.spec, bundled_frame(fields["dataset"]))
    ratio = fields.get("l1_ratio", 1.0)
    losses, supports = library_path(prepared, library, strengths, ratio)

    values, folds = losses.mean(1), losses.shape[1]
    errors = losses.std(1, ddof=1) / np.sqrt(folds)
    np.testing.assert_allclose([own.value for own in path.points], values, rtol=1e-4)
    np.testing.assert_allclose([own.standard_error for own in path.points], errors, rtol=1e-3)
    assert [own.refit_nonzero_weights for own in path.points] == supports
    best = int(values.argmin())
    assert path.best_strength == strengths[best]
    within = np.flatnonzero(values <= values[best] + errors[best])[0]
    assert path.one_standard_error_strength == strengths[within]

    if "strengths" in fields and isinstance(fields["strengths"], list):
        assert strengths == fields["strengths"]
    else:  # from λ_max on, where nothing is left, down to what glmnet goes to
        assert supports[0] == 0 < supports[1]
        grid = np.geomspace(strengths[0], strengths[0] * 1e-4, count)
        np.testing.assert_allclose(strengths, grid, rtol=1.1e-8)  # a hair above λ_max
    # The study has it as trials in this order, so that the dashboard draws the curve.
    with database.reading() as transaction:
        trials = own_complete_trials(transaction, job.id, lookups.study_of(transaction, job.id))
    assert [trial.params["lambda"] for trial in trials] == strengths
    assert job.recommended is not None
    assert job.recommended.best.number == best


@on_sqlite
def test_a_path_loses_nothing_when_its_workers_are_killed(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solver, "CELLS_AT_ONCE", 1)  # looks between members, as of larger data
    fields = {**LINEAR, "dataset": "diabetes", "penalty": "l1", "strengths": 40}
    undisturbed = submitting.submit_resolved(database, **fields)
    _, expected = finished(database, settings, undisturbed)
    job_id = submitting.submit_resolved(database, **fields)
    for _ in range(2):  # within the one population, each further than the one before
        looks = iter([True])

        def die(done: int, of: int, looks: Any = looks) -> None:
            if not next(looks, False):
                raise Killed

        lose(database, make_worker(database, settings, die))
        with database.reading() as transaction:
            progress = lookups.find_job(transaction, job_id).progress
        assert (progress.running, progress.complete) == (40, 0)
    job, path = finished(database, settings, job_id)
    assert (job.progress.trials, job.progress.complete, job.progress.failed) == (40, 40, 0)
    assert path.points == expected.points
    with database.reading() as transaction:
        trials = own_complete_trials(transaction, job.id, lookups.study_of(transaction, job.id))
    assert [trial.params["lambda"] for trial in trials] == [own.strength for own in path.points]


def test_a_nets_path_goes_on_from_the_dense_net_that_its_strengths_share(
    database: Database, settings: Settings
) -> None:
    net = {"model": {"kind": "mlp", "hidden": [5]}, "epochs": 20, "validation": {"kind": "holdout"}}
    fields = {"kind": "path", "trials": None, "dataset": "wine", "penalty": "l1", **net}
    given = {"strengths": [0.3, 0.03, 0.003], "learning_rate": 0.02}
    undisturbed = submitting.submit_resolved(database, **fields, **given)
    _, expected = finished(database, settings, undisturbed)
    job_id = submitting.submit_resolved(database, **fields, **given)
    for epoch in (1, 6):  # the dense net's first of two, and one in which strengths grow

        def die(done: int, of: int, last: int = epoch) -> None:
            if done == last:
                raise Killed

        lose(database, make_worker(database, settings, die))
    job, path = finished(database, settings, job_id)
    assert (job.progress.complete, job.progress.failed) == (3, 0)
    assert path.points == expected.points
    # Each is as it is alone.
    alone = submitting.submit_resolved(database, **fields, **(given | {"strengths": [0.03, 0.02]}))
    _, other = finished(database, settings, alone)
    assert other.points[0].norms == path.points[1].norms
    assert other.points[0].value == path.points[1].value


@on_sqlite
def test_workers_share_the_strengths_that_the_first_of_them_placed(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings(data=tmp_path, checkpoint_seconds=1e-9, max_population=12)
    net = {"model": {"kind": "mlp", "hidden": [5]}, "epochs": 10, "validation": {"kind": "holdout"}}
    fields = {"kind": "path", "trials": None, "dataset": "wine", "penalty": "l1", **net}
    job_id = submitting.submit_resolved(database, **fields, strengths=30, learning_rate=0.02)
    assert make_worker(database, settings).work_once()  # plans, and trains twelve
    with database.reading() as transaction:
        lambda_range = lookups.find_job(transaction, job_id).lambda_range

    def die(done: int, of: int) -> None:
        raise Killed

    lose(database, make_worker(database, settings, die))
    job, path = finished(database, settings, job_id)
    assert (job.progress.complete, job.progress.failed) == (30, 0)
    strengths = [own.strength for own in path.points]
    assert strengths == sorted(set(strengths), reverse=True)
    assert lambda_range is not None
    assert (strengths[-1], strengths[0]) == (lambda_range.low, lambda_range.high)
    ratios = np.divide(strengths[:-1], strengths[1:])
    assert ratios.max() > 1.5 * ratios.min()
    left = [own.features for own in path.points]
    assert left[0] == 0
    assert left[-1] == 13
