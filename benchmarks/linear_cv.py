"""5 folds x 100 strengths as a job over REST, next to scikit-learn's cross-validated estimators.

    OMP_NUM_THREADS=1 python benchmarks/linear_cv.py [--repeats 3] [--shape "lasso 2000 x 500"]

Ours: `ridgeway serve` on SQLite with a worker a core; a job whose sampler `grid` goes through the
strengths of the l1 norm, from POST to the last trial's end and, with the refits and the sealed test
set, to the answer. The job keeps a fifth of the rows sealed: the estimators get as many rows as it
has left. scikit-learn: LassoCV (tol 1e-6, about our precision: benchmarks/linear.py prints both),
LogisticRegressionCV by liblinear at every tenth strength, times ten; one process and two.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from demo import run_ours, serving
from linear_problems import PROBLEMS, Problem
from linear_yardsticks import EVERY
from rows import Row, median, parser
from sklearn.linear_model import LassoCV, LogisticRegressionCV

from ridgeway.client.client import Client

FOLDS = 5
PROCESSES = (1, 2)
KEPT = 0.8  # of the rows: the others are the sealed test set


def theirs(problem: Problem, processes: int) -> float:
    """Return the seconds that scikit-learn takes for all folds, strengths and the refit."""
    rows = int(KEPT * len(problem.targets))
    inputs, targets = problem.inputs[:rows], problem.targets[:rows]
    model, times = _estimator(problem, rows, processes)
    few = slice(0, 60), slice(0, 2)
    model.fit(inputs[few], targets[few[0]])  # its processes start, and are kept
    started = time.perf_counter()
    model.fit(inputs, targets)
    return (time.perf_counter() - started) * times


def _estimator(problem: Problem, rows: int, processes: int) -> tuple[Any, int]:
    """Return the estimator, and how many times as many strengths it would have to fit."""
    if not problem.classes:
        alphas = problem.strengths / 2
        model = LassoCV(alphas=alphas, cv=FOLDS, n_jobs=processes, tol=1e-6, max_iter=100_000)
        return model, 1
    chosen = problem.strengths[EVERY - 1 :: EVERY]
    model = LogisticRegressionCV(
        Cs=1 / (rows * (1 - 1 / FOLDS) * chosen),  # of a sum over the rows of four folds
        cv=FOLDS,
        n_jobs=processes,
        l1_ratios=(1.0,),
        solver="liblinear",
        scoring="neg_log_loss",
        intercept_scaling=100.0,
        tol=1e-5,
        max_iter=10_000,
    )
    return model, EVERY


def table_of(problem: Problem) -> pd.DataFrame:
    """Return the problem's rows with their target in column `y`."""
    table = pd.DataFrame(problem.inputs.astype("float32")).rename(columns="x{}".format)
    if problem.classes:
        return table.assign(y=pd.Series(problem.targets > 0).map({True: "yes", False: "no"}))
    return table.assign(y=problem.targets)


def job_of(name: str, problem: Problem, seed: int) -> dict:
    """Return the job that goes through the strengths."""
    return {
        "dataset": name,
        "model": {"kind": "linear"},
        "search": {"penalty": "l1", "lambda": problem.strengths.tolist()},
        "sampler": "grid",
        "trials": len(problem.strengths),
        "validation": {"kind": "folds", "folds": FOLDS},
        "seed": seed,
    }


def add(client: Client, folder: Path, name: str, problem: Problem) -> None:
    """Upload the problem, and let workers do a small job first, as a service has."""
    path = folder / "table.parquet"
    table_of(problem).to_parquet(path)
    client.add_dataset(path, name)
    client.wait(client.submit({"dataset": "wine", "model": {"kind": "linear"}, "trials": 4}))


def compared(name: str, problem: Problem, repeats: int) -> list[Row]:
    """Return seconds of both; runs are interleaved."""
    ours: list[dict[str, float]] = []
    others: dict[int, list[float]] = {processes: [] for processes in PROCESSES}
    dataset = name.replace(" ", "_")
    with tempfile.TemporaryDirectory() as place, serving(Path(place)) as (client, _):
        add(client, Path(place), dataset, problem)
        for number in range(repeats):
            ours.append(run_ours(client, job_of(dataset, problem, number)))
            for processes, seconds in others.items():
                seconds.append(theirs(problem, processes))
    found = {key: median([run[key] for run in ours]) for key in ("search", "answer")}
    rows: list[Row] = []
    for processes, seconds in others.items():
        baseline = median(seconds)
        for key, own in found.items():
            parameters = {"problem": name, "against": f"scikit-learn, n_jobs {processes}"}
            rows.append(Row(f"cv_{key}", own, "s", baseline, baseline / own, parameters))
    return rows


def main() -> int:
    """Print the rows of each shape."""
    arguments = parser(__doc__)
    arguments.add_argument("--shape", choices=PROBLEMS, help="this one alone")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")  # of strengths at which a baseline has not converged
    for name, make in PROBLEMS.items():
        if given.shape in (None, name):
            for row in compared(name, make(), given.repeats):
                row.print(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
