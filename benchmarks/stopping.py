"""Tell what `"stop": "auto"` saves, and what it costs.

Two searches of each data set and seed, by one worker in this process, which are the same but for
their end: the share of the budget that was spent, how much better the best value of all trials is
than that of the trials before the end, and that as a share of the standard error of differences
between the best ones, of which the rule allows a tenth.

Run: python benchmarks/stopping.py [--json] [--seeds 5] [--trials 200] [--jobs "wine, MLP"]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rows import Row, median, parser

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.jobs.lifecycle import new_id, submit_job
from ridgeway.settings import Settings
from ridgeway.spec.directions import as_loss
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.reading import StudyTrial, complete_trials
from workers.loop.worker import Worker
from workers.population.results import error_of_differences
from workers.sampling.ending import nearest

JOBS: dict[str, dict[str, Any]] = {
    "diabetes, linear": {"dataset": "diabetes", "model": {"kind": "linear"}},
    "breast_cancer, linear": {"dataset": "breast_cancer", "model": {"kind": "linear"}},
    "wine, MLP": {"dataset": "wine", "model": {"kind": "mlp", "hidden": [16]}, "epochs": 20},
}


@dataclass(frozen=True)
class Search:
    """A search that has ended: its complete trials and the worker's seconds, answer included."""

    trials: list[StudyTrial]
    spec: JobSpec
    seconds: float

    @property
    def best(self) -> float:
        return min(self.loss(trial) for trial in self.trials)

    def loss(self, trial: StudyTrial) -> float:
        assert trial.value is not None
        return as_loss(trial.value, self.spec.maximise)

    @property
    def error(self) -> float:
        best = nearest(np.array([self.loss(trial) for trial in self.trials]))
        near = [self.trials[index].facts.fold_values or [] for index in best]
        return error_of_differences(near, self.spec.validation)


def search(database: Database, settings: Settings, **fields: Any) -> Search:
    """Run a job to its end."""
    spec = parse_spec(fields)
    resolved = resolve_spec(spec, bundled_profiles()[spec.dataset])
    with database.transaction() as transaction:
        submit_job(transaction, resolved)
    store = Store(settings.resolved_store_url())
    worker = Worker(database, store, settings, new_id(), "cpu")
    started = time.perf_counter()
    while worker.work_once():
        pass
    seconds = time.perf_counter() - started
    with database.reading() as transaction:
        (study,) = transaction.exec_driver_sql("SELECT max(study_id) FROM studies").scalars()
        return Search(complete_trials(transaction, study), resolved, seconds)


def compare(name: str, trials: int, seeds: Sequence[int], as_json: bool) -> None:
    """Print what ending saves and costs on one data set, medians over seeds and the worst."""
    spent: list[float] = []
    times: list[float] = []
    losses: list[float] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(data=Path(folder))
            database = Database(f"sqlite:///{Path(folder) / 'ridgeway.db'}")
            migrate(database)
            common = {**JOBS[name], "trials": trials, "seed": seed}
            ended = search(database, settings, stop="auto", **common)
            whole = search(database, settings, **common)
            database.close()
        spent.append(len(ended.trials) / len(whole.trials))
        times.append(ended.seconds / whole.seconds)
        losses.append((ended.best - whole.best) / ended.error)
    parameters = {"job": name, "trials": trials, "seeds": len(seeds)}
    for measure, found in (("share of trials", spent), ("share of seconds", times)):
        Row(measure, median(found), "", parameters=parameters).print(as_json)
    Row("gain missed, errors", median(losses), "", parameters=parameters).print(as_json)
    Row("... at most", max(losses), "", parameters=parameters).print(as_json)


def main() -> None:
    """Print the rows of each data set."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=200)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--jobs", nargs="*", choices=JOBS, default=list(JOBS))
    arguments = options.parse_args()
    for name in arguments.jobs:
        compare(name, arguments.trials, range(arguments.seeds), arguments.json)


if __name__ == "__main__":
    main()
