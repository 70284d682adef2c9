"""Whole searches over linear models, next to Optuna with scikit-learn's estimators.

    python benchmarks/linear_jobs.py [--json] [--repeats 1] [--shape "300 x 10000"] [--trials 200]

Ours: `ridgeway serve` on SQLite with a worker a core, a job over all penalties posted over HTTP;
seconds from POST to the last trial's end (`search`) and to the answer (`answer`), and the largest
worker's memory. Baseline: as many processes on a shared SQLite study, TPE, the same strengths and
folds, Lasso, Ridge, ElasticNet or LogisticRegression (group lasso it has none; lasso stands for
it), for `--baseline-seconds` each; its trials a second, with those in progress when time was up
left out. Data are simulated, a tenth of the columns (at most 30) tell something; the three classes
of 3,190 rows have 60 columns of four levels each, as splice junctions have.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from demo import resident_megabytes, run_ours, serving
from rows import Row, median, parser
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PENALTIES = ("none", "l1", "l2", "elastic_net", "group_lasso")
LOWEST = {False: 1e-4, True: 1e-3}  # of λ_max, as `"lambda": "auto"` searches it; of wide tables
FOLDS = 5


@dataclass(frozen=True)
class Shape:
    """A table with its target in column `y`."""

    table: Callable[[], pd.DataFrame]
    classes: bool


def numbers(rows: int, columns: int, *, classes: bool) -> pd.DataFrame:
    """Return simulated numbers."""
    draw = np.random.default_rng(rows + columns)
    inputs = draw.normal(size=(rows, columns))
    telling = max(5, min(30, columns // 10))
    signal = inputs[:, :telling] @ draw.normal(size=telling)
    noise = np.sqrt(telling) / 2
    table = pd.DataFrame(inputs.astype(np.float32)).rename(columns="x{}".format)
    if classes:
        told = signal + noise * draw.logistic(size=rows) > 0
        return table.assign(y=np.where(told, "yes", "no"))
    return table.assign(y=signal + noise * draw.normal(size=rows))


def letters(rows: int = 3190, places: int = 60) -> pd.DataFrame:
    """Return three classes, told by some places of a sequence of four letters."""
    draw = np.random.default_rng(rows)
    codes = draw.integers(4, size=(rows, places))
    weights = draw.normal(size=(3, 12, 4))
    scores = sum(weights[:, place, codes[:, 24 + place]] for place in range(12))
    y = (scores + 2 * draw.gumbel(size=scores.shape)).argmax(0)
    table = pd.DataFrame(np.array(list("ACGT"))[codes]).rename(columns="p{}".format)
    return table.assign(y=np.array(["EI", "IE", "N"])[y])


SHAPES = {
    "3190 x 60 letters, 3 classes": Shape(letters, classes=True),
    "300 x 10000": Shape(lambda: numbers(300, 10_000, classes=False), classes=False),
    "500000 x 20": Shape(lambda: numbers(500_000, 20, classes=False), classes=False),
    "500000 x 20, 2 classes": Shape(lambda: numbers(500_000, 20, classes=True), classes=True),
}


# --- the baseline -------------------------------------------------------------------------------


def baseline_rate(shape: Shape, table: pd.DataFrame, processes: int, seconds: float) -> float:
    """Return how many trials a second so many processes end, from their first trial's start."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'optuna.db'}"
        optuna.create_study(study_name="plain", storage=url)
        table.to_parquet(Path(folder) / "table.parquet")
        ended, ready = context.Queue(), context.Barrier(processes)
        workers = [
            context.Process(
                target=_work, args=(folder, shape.classes, place, seconds, ready, ended)
            )
            for place in range(processes)
        ]
        for worker in workers:
            worker.start()
        counts = [ended.get() for _ in workers]
        for worker in workers:
            worker.join()
    return sum(trials / taken for trials, taken in counts)


def _work(folder: str, classes: bool, seed: int, seconds: float, ready: Any, ended: Any) -> None:
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    table = pd.read_parquet(Path(folder) / "table.parquet")
    inputs = pd.get_dummies(table.drop(columns="y")).to_numpy(np.float64)
    targets = table["y"].to_numpy()
    if not classes:
        targets = (targets - targets.mean()) / targets.std()
    study = optuna.load_study(
        study_name="plain",
        storage=f"sqlite:///{Path(folder) / 'optuna.db'}",
        sampler=optuna.samplers.TPESampler(seed=seed),
    )
    largest = _largest_strength(inputs, targets, classes)
    strengths = (LOWEST[inputs.shape[1] > len(inputs)] * largest, largest)
    ready.wait()
    started = time.perf_counter()

    def value(trial: optuna.Trial) -> float:
        model = make_pipeline(StandardScaler(), _estimator(trial, strengths, len(targets), classes))
        how = "predict_proba" if classes else "predict"
        told = cross_val_predict(model, inputs, targets, cv=FOLDS, method=how)
        return float(log_loss(targets, told) if classes else mean_squared_error(targets, told))

    taken: list[float] = []
    study.optimize(
        value,
        timeout=seconds,
        callbacks=[lambda *_: taken.append(time.perf_counter() - started)],
    )
    ended.put((len(taken), taken[-1]))


def _largest_strength(inputs: np.ndarray, targets: np.ndarray, classes: bool) -> float:
    """Return λ_max of the l1 norm in our units: mean loss, standardised inputs."""
    scaled = StandardScaler().fit_transform(inputs)
    if not classes:
        return float(2 * np.abs(scaled.T @ targets).max() / len(targets))
    each = [(targets == own) - (targets == own).mean() for own in np.unique(targets)]
    return float(np.abs(scaled.T @ np.stack(each, axis=1)).max() / len(targets))


def _estimator(
    trial: optuna.Trial, strengths: tuple[float, float], rows: int, classes: bool
) -> Any:
    penalty = trial.suggest_categorical("penalty", PENALTIES)
    if penalty == "none":
        return LogisticRegression(C=np.inf, max_iter=1000) if classes else LinearRegression()
    strength = trial.suggest_float("lambda", *strengths, log=True)
    share = {"l2": 0.0, "elastic_net": 0.5}.get(penalty, 1.0)
    if classes:
        inverse = 1 / (rows * strength)
        if share == 0:
            return LogisticRegression(C=inverse / 2, max_iter=1000)
        return LogisticRegression(
            C=inverse / (2 - share), l1_ratio=share / (2 - share), solver="saga", max_iter=1000
        )
    if share == 0:
        return Ridge(alpha=rows * strength)
    if share == 1:
        return Lasso(alpha=strength / 2)
    return ElasticNet(alpha=strength / 2 * (2 - share), l1_ratio=share / (2 - share))


# --- ours ---------------------------------------------------------------------------------------


def main() -> None:
    """Print the rows of every shape."""
    options = parser(__doc__)
    options.add_argument("--shape", choices=SHAPES, help="this one alone")
    options.add_argument("--trials", type=int, default=200)
    options.add_argument("--baseline-seconds", type=float, default=60.0, help="0: no baseline")
    arguments = options.parse_args()
    processes = len(os.sched_getaffinity(0))
    for name, shape in SHAPES.items():
        if arguments.shape not in (None, name):
            continue
        table = shape.table()
        ours: list[dict[str, float]] = []
        rates: list[float] = []
        for number in range(arguments.repeats):
            ours.append(_search(table, arguments.trials, number))
            if arguments.baseline_seconds:
                rates.append(baseline_rate(shape, table, processes, arguments.baseline_seconds))
        details = {"shape": name, "trials": arguments.trials, "processes": processes}
        found = {key: median([run[key] for run in ours]) for key in ours[0]}
        theirs = arguments.trials / median(rates) if rates else None
        ratio = theirs / found["search"] if theirs else None
        Row("search", found["search"], "s", theirs, ratio, details).print(arguments.json)
        for key, unit in (("first", "s"), ("answer", "s"), ("memory", "MB")):
            Row(key, found[key], unit, parameters=details).print(arguments.json)


def _search(table: pd.DataFrame, trials: int, seed: int) -> dict[str, float]:
    body = {"dataset": "table", "model": {"kind": "linear"}, "trials": trials, "seed": seed}
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, server):
        path = Path(folder) / "table.parquet"
        table.to_parquet(path)
        client.add_dataset(path, "table")
        client.wait(client.submit({**body, "dataset": "wine", "trials": 4}))
        seconds = run_ours(client, body)
        return {**seconds, "memory": resident_megabytes(server)["workers"]}


if __name__ == "__main__":
    main()
