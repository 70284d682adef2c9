"""Objectives for benchmarks/sampling.py: conditional functions, and two recorded searches.

    python benchmarks/objectives.py digits-mlp|breast_cancer-linear [--rows 4096]   record anew

All share the space of a job: λ exists unless the penalty is `none`, l1_ratio for `elastic_net`
only. A recorded search is a table of random configurations with their validation losses, looked up
by interpolation among the nearest of the same penalty; what diverged has the worst loss of all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from scipy.spatial import KDTree

from ridgeway.answers import Params
from ridgeway.data.store import Store
from ridgeway.spec.names import DEFAULT_PENALTIES
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from workers.data.loading import load_frame
from workers.data.prepare import Prepared, check_and_prepare
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.sampling import suggest
from workers.train import train

DATA = Path(__file__).parent / "data"
NEIGHBOURS = 6
TOGETHER = 64
GRAIN = 2**16 - 1  # coordinates are kept in 16 bits
COORDINATES = ("lambda", "l1_ratio", "learning_rate", "weight_decay")

RECORDED: Mapping[str, dict[str, object]] = {
    "digits-mlp": {"dataset": "digits", "model": {"kind": "mlp"}, "epochs": 10},
    "breast_cancer-linear": {
        "dataset": "breast_cancer",
        "model": {"kind": "linear"},
        "optimizer": "adamw",
        "epochs": 30,
    },
}


@dataclass(frozen=True)
class Objective:
    """A function of a configuration, to be minimised; NaN where training diverges."""

    name: str
    value: Callable[[Params], float]


def job(name: str = "digits-mlp", seed: int = 0) -> JobSpec:
    """Return the job whose space every objective shares."""
    body = {
        "search": {"lambda": {"low": 1e-6, "high": 1.0, "log": True}},
        "validation": {"kind": "holdout", "fraction": 0.3},
        "seed": seed,
    }
    return parse_spec({**RECORDED[name], **body})


@cache
def space() -> Mapping[str, BaseDistribution]:
    """Return the search space of every objective."""
    return search_space(job(), None)


def unit(name: str, value: float) -> float:
    """Return a parameter's place in its range, from 0 to 1."""
    distribution = space()[name]
    assert isinstance(distribution, FloatDistribution)
    low, high = distribution.low, distribution.high
    if distribution.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def units(params: Params) -> dict[str, float]:
    """Return the place of every parameter that the configuration has."""
    return {name: unit(name, float(params[name])) for name in COORDINATES if name in params}


# --- functions --------------------------------------------------------------------------------

# Where each penalty is at its best: its depth, λ, learning rate.
BRANCHES: Mapping[str, tuple[float, float, float]] = {
    "none": (0.10, 0.0, 0.45),
    "l1": (0.02, 0.55, 0.60),
    "l2": (0.05, 0.75, 0.70),
    "elastic_net": (0.00, 0.65, 0.62),
    "group_lasso": (0.04, 0.35, 0.50),
}


def branches(params: Params) -> float:
    """A bowl for each penalty, at a strength and rate of its own."""
    at, (depth, strength, rate) = units(params), BRANCHES[str(params["penalty"])]
    value = depth + (at["learning_rate"] - rate) ** 2 + 0.1 * (at["weight_decay"] - 0.4) ** 2
    if "lambda" in at:
        value += (at["lambda"] - strength) ** 2
    return value + 0.3 * (at.get("l1_ratio", 0.3) - 0.3) ** 2


def valley(params: Params) -> float:
    """A narrow bent valley: the stronger the penalty, the smaller the rate that goes with it."""
    at, (depth, strength, _) = units(params), BRANCHES[str(params["penalty"])]
    place = at.get("lambda", 0.8)
    across = at["learning_rate"] - (1 - place) ** 2
    along = at.get("lambda", strength + 0.2) - strength
    rest = 0.2 * (at["weight_decay"] - 0.6) ** 2 + 0.2 * (at.get("l1_ratio", 0.7) - 0.7) ** 2
    return depth + 4 * across**2 + 0.5 * along**2 + rest


def ripples(params: Params) -> float:
    """Many local minima over strength and rate."""
    at, value = units(params), branches(params)
    waves = [at["learning_rate"], at.get("lambda", 0.55)]
    return value + sum(0.04 * (1 - math.cos(10 * math.pi * (place - 0.6))) for place in waves)


def plateau(params: Params) -> float:
    """A net's way: collapsed beyond some strength, diverging at high rates, good in between."""
    at = units(params)
    place = at.get("lambda", 0.0)
    if at["learning_rate"] > 0.9:
        return math.nan
    collapse = {"none": 2.0, "l1": 0.6, "l2": 0.9, "elastic_net": 0.65, "group_lasso": 0.5}
    if place > collapse[str(params["penalty"])]:
        return 2.3 + 1e-3 * place
    gain = math.exp(-((place - 0.4) ** 2 / 0.02) - (at["learning_rate"] - 0.65) ** 2 / 0.02)
    kind = {"none": 0.5, "l1": 0.9, "l2": 0.85, "elastic_net": 1.0, "group_lasso": 0.8}
    ratio = at.get("l1_ratio", 0.4)
    return 1.0 - 0.9 * gain * kind[str(params["penalty"])] * math.exp(-((ratio - 0.4) ** 2))


# --- recorded searches ------------------------------------------------------------------------


class Table:
    """Recorded losses, interpolated by inverse squared distance among the nearest."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as kept:
            penalties, places = kept["penalty"], kept["places"] / GRAIN
            self._values = kept["value"].astype(float)
        self._rows = {
            name: np.flatnonzero(penalties == index) for index, name in enumerate(DEFAULT_PENALTIES)
        }
        self._trees = {
            name: KDTree(places[np.ix_(rows, _columns(name))]) for name, rows in self._rows.items()
        }

    def value(self, params: Params) -> float:
        """Return about the loss that this configuration would have had."""
        name, at = str(params["penalty"]), units(params)
        point = [at[COORDINATES[column]] for column in _columns(name)]
        distances, found = self._trees[name].query(point, NEIGHBOURS)
        weights = 1 / (distances**2 + 1e-9)
        return float(weights @ self._values[self._rows[name][found]] / weights.sum())


def _columns(penalty: str) -> Sequence[int]:
    if penalty == "none":
        return (2, 3)
    return (0, 1, 2, 3) if penalty == "elastic_net" else (0, 2, 3)


def objectives() -> dict[str, Objective]:
    """Return every objective by its name."""
    made = [Objective(f.__name__, f) for f in (branches, valley, ripples, plateau)]
    made += [Objective(name, Table(DATA / f"{name}.npz").value) for name in RECORDED]
    return {objective.name: objective for objective in made}


def record(name: str, rows: int) -> None:
    """Train random configurations through our own engine and keep what they came to."""
    spec = job(name)
    prepared = check_and_prepare(spec, load_frame(spec.dataset, None, Store("memory://")))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    params = [suggest(study.ask(), space()) for _ in range(rows)]
    values = np.concatenate(
        [_losses(prepared, params[i : i + TOGETHER]) for i in range(0, rows, TOGETHER)]
    )
    values[~np.isfinite(values)] = values[np.isfinite(values)].max()
    penalty = space()["penalty"]
    assert isinstance(penalty, CategoricalDistribution)
    places = np.zeros((rows, len(COORDINATES)))
    for row, each in enumerate(params):
        for coordinate, place in units(each).items():
            places[row, COORDINATES.index(coordinate)] = place
    DATA.mkdir(exist_ok=True)
    np.savez_compressed(
        DATA / f"{name}.npz",
        penalty=np.array([penalty.choices.index(p["penalty"]) for p in params], dtype=np.uint8),
        places=np.round(places * GRAIN).astype(np.uint16),
        value=values.astype(np.float32),
    )


def _losses(prepared: Prepared, params: Sequence[Params]) -> NDArray[np.float64]:
    spec = prepared.spec
    problem = Problem(spec, prepared.folds, prepared.outputs, torch.device("cpu"))
    result = train(problem, [Configuration.from_params(spec, each) for each in params])
    return np.where(result.diverged_at > 0, math.nan, result.values)


def main() -> None:
    """Record both searches."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("name", choices=tuple(RECORDED))
    made.add_argument("--rows", type=int, default=4096)
    arguments = made.parse_args()
    torch.set_num_threads(1)
    record(arguments.name, arguments.rows)


if __name__ == "__main__":
    main()
