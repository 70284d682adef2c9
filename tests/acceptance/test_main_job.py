"""From POST to the answer over HTTP, by real processes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import random
import time
from pathlib import Path

import httpx
import optuna
import psutil
import pytest
from deployments import Deployment, Installation
from safetensors.torch import load

JOB = {
    "name": "which penalty?",
    "dataset": "breast_cancer",
    "model": {"kind": "mlp", "hidden": [16]},
    "trials": 60,
    "epochs": 10,
}


def test_a_search_job_is_answered(deployment):
    _drive(deployment)


def test_a_search_job_is_answered_by_an_installed_wheel(wheel_deployment):
    _drive(wheel_deployment)


def _drive(deployment: Deployment) -> None:
    with deployment.client as client:
        job = client.submit(JOB)
        assert (job.state, job.progress.trials) == ("queued", 60)
        assert job.spec.target == "target"
        done = client.wait(job, timeout=120)
        trials = list(client.trials(job, order="value"))
        detail = client.trial(job, trials[0].number)
        model = load(client.model(job))
    assert done.progress.complete + done.progress.failed == 60
    assert sorted(trial.number for trial in trials) == list(range(60))
    assert done.best is not None
    assert (trials[0].number, trials[0].value) == (done.best.number, done.best.value)
    assert len(detail.curve) == 10
    assert detail.fold_values is not None
    assert sum(detail.fold_values) / 5 == pytest.approx(detail.value)
    answer = done.recommended
    assert answer is not None
    assert answer.simplest.selected_features <= answer.best.selected_features
    assert answer.test.simplest is not None
    assert answer.test.simplest > answer.test.baseline
    assert answer.simplest.weights == 30 * 16 + 16
    weights = [tensor for tensor in model.values() if tensor.dim() == 2]
    assert sum(int((w != 0).sum()) for w in weights) == answer.simplest.refit_nonzero_weights
    _check_dashboard(deployment, done.links.dashboard, done.name)
    assert 0 < max(map(resident_megabytes, deployment.pids("service"))) < 150
    assert 0 < max(map(resident_megabytes, deployment.pids("workers"))) < 700
    storage = optuna.storages.RDBStorage(deployment.database_url)
    assert optuna.load_study(study_name=done.study, storage=storage).best_value == done.best.value
    storage.engine.dispose()


def test_progress_moves_while_one_population_trains(deployment):
    body = {
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [256]},
        "trials": 2,
        "epochs": 2000,
        "batch_size": 16,
    }
    with deployment.client as client:
        job = client.submit(body)
        shares: list[float] = []
        deadline = time.monotonic() + 90
        while len(shares) < 3 and time.monotonic() < deadline:
            seen = client.job(job).progress
            assert (seen.complete, seen.pruned, seen.failed) == (0, 0, 0)
            if seen.fraction > max(shares, default=0.0):
                shares.append(seen.fraction)
                assert seen.eta_seconds is not None
                assert seen.eta_seconds > 0
            time.sleep(0.1)
        client.cancel(job)
    assert len(shares) == 3
    assert shares == sorted(shares)
    assert shares[-1] < 1


def resident_megabytes(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


def _check_dashboard(deployment: Deployment, link: str, name: str) -> None:
    page = httpx.get(deployment.url + link, timeout=60)
    assert page.status_code == 200
    assert "<html" in page.text
    study_id = link.rsplit("/", 1)[1]
    shown = httpx.get(f"{deployment.url}/api/studies/{study_id}?after=0", timeout=60).json()
    assert shown["name"] == name  # of the job, where it has one
    assert len(shown["trials"]) == 60
    assert httpx.delete(f"{deployment.url}/api/studies/{study_id}").status_code == 405


def test_a_persons_own_csv_is_searched_too(deployment, tmp_path):
    chance = random.Random(0)
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["age", "town", "income", "bought"])
        for _ in range(200):
            age, town = chance.randint(18, 80), chance.choice(["Ayr", "Bath", ""])
            income = "" if chance.random() < 0.1 else f"{chance.gauss(30, 5):.2f}"
            rows.writerow([age, town, income, "yes" if age > 45 else "no"])
    with deployment.client as client:
        dataset = client.add_dataset(path, "customers")
        assert (dataset.rows, dataset.target, dataset.task) == (200, "bought", "classification")
        job = client.submit(dataset="customers", model={"kind": "linear"}, trials=20, epochs=20)
        done = client.wait(job, timeout=120)
    assert done.recommended is not None
    assert done.recommended.test.simplest is not None
    assert done.recommended.test.simplest > 0.85
    assert done.recommended.simplest.selected_features is not None


def test_the_first_trials_of_a_job_on_a_warm_worker_are_there_within_seconds(deployment):
    with deployment.client as client:
        client.wait(client.submit({**JOB, "trials": 4}), timeout=120)
        submitted = time.monotonic()
        job = client.submit(JOB)
        while not client.job(job).progress.complete:
            # The benchmark measures it; here it only may not be off by an order of magnitude.
            assert time.monotonic() < submitted + 20
            time.sleep(0.02)
        client.wait(job, timeout=120)


def test_what_was_done_is_still_there_after_a_restart(source_tree: Installation, tmp_path: Path):
    first = source_tree.serve(tmp_path / "data")
    with first.client as client:
        job = client.wait(client.submit({**JOB, "trials": 10}), timeout=120)
    first.stop()
    second = source_tree.serve(tmp_path / "data")
    with second.client as client:
        assert client.job(job) == job
        assert len(list(client.trials(job))) == 10
        assert client.model(job)
    second.stop()


def test_the_command_line_submits_waits_and_tells(deployment, source_tree, tmp_path):
    spec = tmp_path / "job.json"
    spec.write_text('{"dataset": "wine", "model": {"kind": "linear"}, "trials": 10, "epochs": 5}')
    environment = {"RIDGEWAY_URL": deployment.url}
    told = source_tree.run(["submit", str(spec), "--wait", "--json"], environment)
    assert '"succeeded"' in told
    listed = source_tree.run(["jobs"], environment)
    assert "wine" in listed
