"""Measure trials persisted per second by processes that share one study, beside stock Optuna."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from rows import Row, median
from served import SPACE, migrated, persist_population, url_of, withdraw

from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle
from ridgeway.spec.wording import parse_spec

_CONTEXT = multiprocessing.get_context("spawn")
LONGEST_SECONDS = 600.0  # that a process waits for the others


def persist(
    kind: str, trials: int, stock_trials: int, processes: tuple[int, ...], repeats: int
) -> Iterator[Row]:
    """Time trials of 4 parameters and 4 or 30 reports; stock asks, suggests, reports, tells."""
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
    def submit() -> None:
        withdraw(database)
        with database.transaction() as transaction:
            lifecycle.submit_job(transaction, parse_spec({"dataset": "digits", "trials": trials}))

    submit()  # for the warm-up
    seconds = _timed(submit, _persist_all, processes, url_of(database), reports)
    withdraw(database)
    return trials / seconds


def _persist_all(together: Any, url: str, reports: int) -> None:
    database = Database(url)
    persist_population(database, reports)
    together.wait()
    together.wait()
    while persist_population(database, reports):
        pass
    together.wait()
    database.close()


def _stock(database: Database, trials: int, reports: int, processes: int) -> float:
    url = url_of(database)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    name = optuna.create_study(storage=url).study_name
    share = -(-trials // processes)
    seconds = _timed(lambda: None, _ask_and_tell, processes, url, name, share, reports)
    return share * processes / seconds


def _ask_and_tell(together: Any, url: str, name: str, trials: int, reports: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler()
    study = optuna.load_study(study_name=name, storage=url, sampler=sampler)
    _ask_and_tell_one(study, reports)
    together.wait()
    together.wait()
    for _ in range(trials):
        _ask_and_tell_one(study, reports)
    together.wait()


def _ask_and_tell_one(study: optuna.Study, reports: int) -> None:
    trial = study.ask(SPACE)
    for step in range(reports):
        trial.report(1.0, step)
    study.tell(trial, 1.0)


def _timed(
    prepare: Callable[[], None], work: Callable[..., None], processes: int, *arguments: Any
) -> float:
    """Return seconds of the work alone, from the first process's start to the last one's end.

    They wait for each other thrice: when each is warm, when `prepare` has run, when all is done.
    """
    together = _CONTEXT.Barrier(processes + 1, timeout=LONGEST_SECONDS)
    working = [_CONTEXT.Process(target=work, args=(together, *arguments)) for _ in range(processes)]
    for process in working:
        process.start()
    together.wait()
    prepare()
    together.wait()
    started = time.perf_counter()
    together.wait()
    seconds = time.perf_counter() - started
    for process in working:
        process.join()
    assert all(process.exitcode == 0 for process in working), "a process ended with an error"
    return seconds
