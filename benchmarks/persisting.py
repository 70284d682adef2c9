"""Trials persisted per second by processes that share one study, ours and stock Optuna's."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from rows import Row, median
from served import SPACE, migrated, persist_population, url_of, withdraw

from ridgeway import jobs
from ridgeway.database import Database
from ridgeway.spec import parse_spec

_CONTEXT = multiprocessing.get_context("spawn")


def persist(
    kind: str, trials: int, stock_trials: int, processes: tuple[int, ...], repeats: int
) -> Iterator[Row]:
    """4 params, 4 or 30 reports, finish; the baseline asks, suggests, reports and tells."""
    for reports in (4, 30):
        ours: dict[int, list[float]] = {count: [] for count in processes}
        stock: dict[int, list[float]] = {count: [] for count in processes}
        for _ in range(repeats):
            with migrated(kind) as database:
                for count in processes:
                    ours[count].append(_ours(database, trials, reports, count))
                    stock[count].append(_stock(database, stock_trials, reports, count))
        for count in processes:
            value, baseline = median(ours[count]), median(stock[count])
            parameters = {"database": kind, "reports": reports, "processes": count}
            yield Row("persist", value, "trials/s", baseline, value / baseline, parameters)


def _ours(database: Database, trials: int, reports: int, processes: int) -> float:
    with database.transaction() as transaction:
        jobs.submit_job(transaction, parse_spec({"dataset": "digits", "trials": trials}))
    seconds = _timed(_persist_all, processes, url_of(database), reports)
    withdraw(database)
    return trials / seconds


def _persist_all(start: Any, url: str, reports: int) -> None:
    database = Database(url)
    with database.reading():
        start.wait()
    while persist_population(database, reports):
        pass
    database.close()


def _stock(database: Database, trials: int, reports: int, processes: int) -> float:
    url = url_of(database)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = optuna.create_study(storage=url).study_name
    share = -(-trials // processes)
    return share * processes / _timed(_ask_and_tell, processes, url, name, share, reports)


def _ask_and_tell(start: Any, url: str, name: str, trials: int, reports: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler()
    study = optuna.load_study(study_name=name, storage=url, sampler=sampler)
    start.wait()
    for _ in range(trials):
        trial = study.ask(SPACE)
        for step in range(reports):
            trial.report(1.0, step)
        study.tell(trial, 1.0)


def _timed(work: Callable[..., None], processes: int, *arguments: Any) -> float:
    """Seconds from when every process was ready until the last one's end."""
    start = _CONTEXT.Barrier(processes + 1)
    working = [_CONTEXT.Process(target=work, args=(start, *arguments)) for _ in range(processes)]
    for process in working:
        process.start()
    start.wait()
    started = time.perf_counter()
    for process in working:
        process.join()
    seconds = time.perf_counter() - started
    assert all(process.exitcode == 0 for process in working), "a process ended with an error"
    return seconds
