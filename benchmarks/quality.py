"""Compare the best values that our sampler and stock TPE find, in populations of 64.

Results go to a file of JSON lines, one a search, so that a run goes on where another has stopped;
benchmarks/sampling.py --quality prints the table.
"""

from __future__ import annotations

import json
import math
import statistics
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from objectives import Objective, objectives, space
from rows import Row

from workers.sampling import samplers, suggest
from workers.sampling.axes import Floats
from workers.sampling.request import Request
from workers.sampling.space import external_params
from workers.sampling.tpe import COMPLETE, FAILED, History

POPULATION = 64
TRIALS = 512
CHECKPOINTS = (64, 128, 256, 512)
RESAMPLES = 10_000


@dataclass(frozen=True)
class Search:
    """Return the best value after each population of one search."""

    objective: str
    sampler: str
    seed: int
    best: Sequence[float]


def ours(objective: Objective, seed: int) -> list[float]:
    """Search by the population sampler."""
    params: list[Mapping[str, float | str]] = []
    values = np.empty(0)
    columns = {name: np.empty(0) for name in space()}
    best = []
    while len(values) < TRIALS:
        failed = np.isnan(values)
        history = History(columns, np.where(failed, FAILED, COMPLETE), np.nan_to_num(values))
        drawn = proposed(history, seed, len(best))
        params = external_params(space(), drawn)
        values = np.append(values, [objective.value(each) for each in params])
        columns = {name: np.append(columns[name], drawn[name]) for name in columns}
        best.append(float(np.nanmin(values)))
    return best


def proposed(history: History, seed: int, ordinal: int) -> dict[str, Floats]:
    """Propose the search's next population by the sampler `tpe`, as a worker calls it."""
    request = Request(space(), POPULATION, ordinal, len(history.values), seed, lambda: history)
    return samplers.SAMPLERS["tpe"](request)


def stock(objective: Objective, seed: int) -> list[float]:
    """Search by Optuna's TPE, asked one by one; diverged trials count as the worst value so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, constant_liar=True
        )
    study = optuna.create_study(sampler=sampler)
    best: list[float] = []
    finite: list[float] = []
    for _ in range(TRIALS // POPULATION):
        trials = [study.ask() for _ in range(POPULATION)]
        values = [objective.value(suggest(trial, space())) for trial in trials]
        finite += [value for value in values if math.isfinite(value)]
        for trial, value in zip(trials, values, strict=True):
            study.tell(trial, value if math.isfinite(value) else max(finite))
        best.append(min(finite))
    return best


SAMPLERS = {"ours": ours, "stock": stock}


def run(path: Path, seeds: int) -> None:
    """Append what the file lacks, a seed of everything at a time."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = {(each.objective, each.sampler, each.seed) for each in read(path)}
    for seed in range(seeds):
        for name, objective in objectives().items():
            for sampler, search in SAMPLERS.items():
                if (name, sampler, seed) not in done:
                    found = {"objective": name, "sampler": sampler, "seed": seed}
                    found["best"] = search(objective, seed)
                    with path.open("a") as lines:
                        lines.write(json.dumps(found) + "\n")


def read(path: Path) -> list[Search]:
    """Return the searches in the file."""
    if not path.exists():
        return []
    return [Search(**json.loads(line)) for line in path.read_text().splitlines()]


def table(searches: Sequence[Search]) -> Iterator[Row]:
    """Yield the median best value of ours and of stock at each checkpoint, over common seeds.

    `interval` is a 95% bootstrap interval of the difference of the medians, ours less stock's;
    `wins` the share of the seeds in which ours is better, ties counting half.
    """
    for name in objectives():
        by_seed = {
            sampler: {
                each.seed: each.best
                for each in searches
                if (each.objective, each.sampler) == (name, sampler)
            }
            for sampler in SAMPLERS
        }
        seeds = sorted(by_seed["ours"].keys() & by_seed["stock"].keys())
        if not seeds:
            continue
        for trials in CHECKPOINTS:
            at = trials // POPULATION - 1
            mine, theirs = (
                np.array([by_seed[sampler][seed][at] for seed in seeds]) for sampler in SAMPLERS
            )
            low, high = interval(mine, theirs)
            details = {
                "objective": name,
                "trials": trials,
                "seeds": len(seeds),
                "interval": [low, high],
                "wins": float(np.mean((mine < theirs) + 0.5 * (mine == theirs))),
            }
            value, baseline = statistics.median(mine), statistics.median(theirs)
            yield Row("best_value", value, "loss", baseline, baseline / value, details)


def interval(mine: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return a 95 % interval of the medians' difference, resampling each sampler's seeds."""
    generator = np.random.default_rng(0)
    count = len(mine)
    draws = [
        np.median(values[generator.integers(count, size=(RESAMPLES, count))], axis=1)
        for values in (mine, theirs)
    ]
    low, high = np.quantile(draws[0] - draws[1], [0.025, 0.975])
    return float(low), float(high)
