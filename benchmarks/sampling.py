"""Measure what proposals cost and how good they are, and a worker's mirror of a study.

    python benchmarks/sampling.py [--json] [--repeats 3] [--trials 100 1000 10000 100000]
        [--stock-trials 10000]
    python benchmarks/sampling.py --quality [--seeds 20] [--results FILE]

`propose`: ms a trial of a population of 64 by the sampler `tpe`, as a worker calls it, at so many
trials of history. Baseline: stock TPE (multivariate, grouped, constant liar) asked one by one on
the same history in memory, up to `--stock-trials` of it; both take turns.

`mirror`: growth of this process while it follows a study of the largest size on SQLite, all
buffers of the first read included; `first_sync` that read's time, `sync` a later one's, for a
population of 64.

`--quality`: the median best value over seeds, ours and stock (benchmarks/quality.py). Searches that
the results' file holds are not run again; the whole takes stock some half an hour.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import optuna
import psutil
import quality
from objectives import branches, job, space
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState
from rows import Row, median, parser

from ridgeway.answers import Params
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.spec.spec import JobSpec
from ridgeway.study import writing
from ridgeway.study.writing import Outcome
from workers.sampling import Mirror, suggest
from workers.sampling.sequences import random_draws
from workers.sampling.space import external_params

POPULATION = 64
ASKED = 4  # of stock TPE in each repeat
WRITTEN = 1000  # trials a transaction, to fill a study


def main() -> None:
    """Print the rows."""
    arguments = options().parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.quality:
        quality.run(arguments.results, arguments.seeds)
        rows = quality.table(quality.read(arguments.results))
    else:
        rows = costs(arguments)
    for row in rows:
        row.print(arguments.json)


def options() -> argparse.ArgumentParser:
    """Read the command line."""
    made = parser(__doc__)
    made.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000, 100_000])
    made.add_argument("--stock-trials", type=int, default=10_000, help="most history for stock TPE")
    made.add_argument("--quality", action="store_true")
    made.add_argument("--seeds", type=int, default=20)
    made.add_argument("--results", type=Path, default=Path("sampling-quality.jsonl"))
    return made


def costs(arguments: argparse.Namespace) -> Iterator[Row]:
    """Measure proposals at every size, then the mirror at the largest."""
    for trials in arguments.trials:
        yield proposals(trials, trials <= arguments.stock_trials, arguments.repeats)
    yield from mirrors(max(arguments.trials))


# --- proposals --------------------------------------------------------------------------------


def configurations(count: int) -> list[Params]:
    """Return trials drawn at random from the space of the objectives."""
    return external_params(space(), random_draws(space(), count, np.random.default_rng(0)))


def proposals(trials: int, with_stock: bool, repeats: int) -> Row:
    """Return milliseconds a trial, ours and stock's in turn on the same history."""
    history = configurations(trials)
    mirror, study = filled_mirror(history), filled_study(history) if with_stock else None
    ours, theirs = [], []
    for repeat in range(repeats):
        started = time.perf_counter()
        mirror.propose(space(), POPULATION, ordinal=repeat, start=trials)
        ours.append(1e3 * (time.perf_counter() - started) / POPULATION)
        if study is not None:
            started = time.perf_counter()
            for _ in range(ASKED):
                suggest(study.ask(), space())
            theirs.append(1e3 * (time.perf_counter() - started) / ASKED)
    value = median(ours)
    details = {"trials": trials, "population": POPULATION, "sampler": "tpe"}
    if not theirs:
        return Row("propose", value, "ms/trial", parameters=details)
    baseline = median(theirs)
    return Row("propose", value, "ms/trial", baseline, baseline / value, details)


def filled_mirror(history: Sequence[Params]) -> Mirror:
    """Return the mirror as it is after following a study of these trials."""
    mirror, texts = Mirror(job(), study_id=1), distribution_texts()
    for number, params in enumerate(history):
        told = [(n, space()[n].to_internal_repr(value), texts[n]) for n, value in params.items()]
        mirror.table.put(number, TrialState.COMPLETE, branches(params), 0, told)
    return mirror


def distribution_texts() -> dict[str, str]:
    """Return the distributions as Optuna's tables keep them."""
    return {name: distribution_to_json(each) for name, each in space().items()}


def filled_study(history: Sequence[Params]) -> optuna.Study:
    """Return a study in memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=0, multivariate=True, group=True, constant_liar=True
        )
    study = optuna.create_study(sampler=sampler)
    study.add_trials(
        [
            optuna.create_trial(
                params=dict(params),
                distributions={name: space()[name] for name in params},
                value=branches(params),
            )
            for params in history
        ]
    )
    return study


# --- the mirror -------------------------------------------------------------------------------


def mirrors(trials: int) -> Iterator[Row]:
    """Follow a study on SQLite from nothing, and once more after a population."""
    details = {"trials": trials, "database": "sqlite"}
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'ridgeway.db'}")
        migrate(database)
        spec = job()
        study_id = written(database, spec, trials)
        mirror, process = Mirror(spec, study_id), psutil.Process(os.getpid())
        before = process.memory_info().rss
        first = synced(database, mirror)
        grown = (process.memory_info().rss - before) / 1e6
        add(database, study_id, configurations(POPULATION))
        later = synced(database, mirror)
        database.close()
    yield Row("mirror", grown, "MB", parameters=details)
    yield Row("first_sync", first, "s", parameters=details)
    yield Row("sync", 1e3 * later, "ms", parameters={**details, "population": POPULATION})


def synced(database: Database, mirror: Mirror) -> float:
    """Return the seconds that it took to follow."""
    started = time.perf_counter()
    with database.reading() as transaction:
        mirror.sync(transaction)
    return time.perf_counter() - started


def written(database: Database, spec: JobSpec, trials: int) -> int:
    """Write a study of so many finished trials; return its id."""
    with database.transaction() as transaction:
        study_id = writing.create_study(transaction, "mirrored", [False], {})
    history = configurations(trials)
    for start in range(0, trials, WRITTEN):
        add(database, study_id, history[start : start + WRITTEN])
    return study_id


def add(database: Database, study_id: int, params: Sequence[Params]) -> None:
    """Write finished trials."""
    with database.transaction() as transaction:
        first = writing.reserve_trials(transaction, study_id, params, space())
        outcomes = [Outcome(first + i, branches(each)) for i, each in enumerate(params)]
        writing.finish_trials(transaction, study_id, outcomes)


if __name__ == "__main__":
    main()
