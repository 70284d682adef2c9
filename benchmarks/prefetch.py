"""Measure whether sampling the next population while this one trains pays on a CPU.

    python benchmarks/prefetch.py [--json] [--repeats 3]

One process a core, as workers run, each with the demo's model and a study of 100 trials. Baseline:
sample a population, then train it. Against it: sample the next one in a thread meanwhile. Prints
populations per second of all processes together, and the share of a worker's time that sampling
takes. What prefetching costs the search (a population proposed without the last one's results) is
not in these figures.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState
from rows import Row, median, parser

from ridgeway.data.store import Store
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from workers import train as doors
from workers.data.loading import load_frame
from workers.data.prepare import check_and_prepare
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.sampling import Mirror

SPEC = {"dataset": "breast_cancer", "model": {"kind": "mlp", "hidden": [64]}}
POPULATIONS = 4
SIZE = 20
HISTORY = 100


def _history(mirror: Mirror, space: Mapping[str, BaseDistribution]) -> None:
    """Give the mirror complete trials to learn from."""
    texts = {name: distribution_to_json(each) for name, each in space.items()}
    for number, params in enumerate(mirror.propose(space, HISTORY, ordinal=0, start=0)):
        value = abs(float(params["learning_rate"]) - 0.01)
        rows = [
            (name, space[name].to_internal_repr(own), texts[name]) for name, own in params.items()
        ]
        mirror.table.put(number, TrialState.COMPLETE, value, 0, rows)


def _work(repeats: int, barrier, results) -> None:
    torch.set_num_threads(1)
    spec = parse_spec(SPEC)
    prepared = check_and_prepare(spec, load_frame(spec.dataset, None, Store("/tmp")))
    space = search_space(spec, (1e-6, 1e-1))
    mirror = Mirror(spec, study_id=0)
    _history(mirror, space)
    spent = {"sampling": 0.0, "training": 0.0}

    def propose(ordinal: int) -> list[Configuration]:
        started = time.perf_counter()
        params = mirror.propose(space, SIZE, ordinal, start=HISTORY)
        spent["sampling"] += time.perf_counter() - started
        return [Configuration.from_params(spec, p) for p in params]

    problem = Problem(spec, prepared.folds, prepared.outputs, torch.device("cpu"))

    def train(configurations: list[Configuration]) -> None:
        started = time.perf_counter()
        doors.train(problem, configurations)
        spent["training"] += time.perf_counter() - started

    def one_after_the_other() -> None:
        for ordinal in range(POPULATIONS):
            train(propose(1 + ordinal))

    def prefetching() -> None:
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(propose, 1)
            for ordinal in range(POPULATIONS):
                configurations = following.result()
                following = pool.submit(propose, 2 + ordinal)
                train(configurations)

    train(propose(1))
    for _ in range(repeats):
        for name, run in (("sequential", one_after_the_other), ("prefetched", prefetching)):
            spent.update(sampling=0.0, training=0.0)
            barrier.wait()
            started = time.perf_counter()
            run()
            seconds = time.perf_counter() - started
            results.put((name, seconds, spent["sampling"] / seconds))


def main() -> None:
    """Print the rows."""
    arguments = parser(__doc__).parse_args()
    context = multiprocessing.get_context("spawn")
    processes = len(os.sched_getaffinity(0))
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_work, args=(arguments.repeats, barrier, results))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    figures: dict[str, list[tuple[float, float]]] = {"sequential": [], "prefetched": []}
    for _ in range(2 * arguments.repeats * processes):
        name, seconds, share = results.get()
        figures[name].append((seconds, share))
    for worker in workers:
        worker.join()
    rate = {
        name: processes * POPULATIONS / median([seconds for seconds, _ in runs])
        for name, runs in figures.items()
    }
    details = {"population": SIZE, "processes": processes, "history": HISTORY}
    Row(
        "prefetch",
        rate["prefetched"],
        "populations/s",
        rate["sequential"],
        rate["prefetched"] / rate["sequential"],
        details,
    ).print(arguments.json)
    share = 100 * median([share for _, share in figures["sequential"]])
    Row("sampling_share", share, "% of a worker's time", parameters=details).print(arguments.json)


if __name__ == "__main__":
    main()
