"""What an answer's evidence takes beside its search, stage by stage, in one process.

    OMP_NUM_THREADS=1 python benchmarks/evidence.py [--json] [--repeats 1] [--trials 200]
                                                    [--shape "300 x 10000"]

The search is the training of so many trials, drawn over all penalties and their strengths, in
populations of a tenth of them, without a sampler and a database; the answer is the worker's own.
Its stages: `path` is the regularisation path, `features` the halves and the importances, `evidence`
all else: the confirmation of the finalists and their twins, refits, sealed scores, intervals,
claims and checks. Seconds of the processor; ratio: search over stage. Shapes are those of
linear_jobs.py, and a net on 455 x 30.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from linear_jobs import SHAPES
from optuna.trial import TrialState
from rows import Row, median, parser
from sklearn.datasets import load_breast_cancer

from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import Artifact
from ridgeway.spec.wording import parse_spec
from ridgeway.study.reading import StudyTrial
from workers.answer import answer as answers
from workers.answer.training import Training
from workers.data.prepare import Prepared, check_and_prepare
from workers.population.configuration import Configuration
from workers.population.outcomes import outcomes_of
from workers.population.problem import problem_of
from workers.strength.range import strength_range
from workers.train import refit, train

STAGES = {"_path": "path", "usage": "features", "_model_files": "features"}  # of an answer
NET = "455 x 30, a net"


def main() -> None:
    """Print the rows of every shape."""
    options = parser(__doc__)
    options.add_argument("--shape", choices=[*SHAPES, NET], help="this one alone")
    options.add_argument("--trials", type=int, default=200)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    for shape in (*SHAPES, NET):
        if arguments.shape not in (None, shape):
            continue
        runs = [_run(shape, arguments.trials, seed) for seed in range(arguments.repeats)]
        found = {stage: median([run[stage] for run in runs]) for stage in runs[0]}
        details = {"shape": shape, "trials": arguments.trials}
        for stage, seconds in found.items():
            ratio = None if stage == "search" else found["search"] / seconds
            baseline = None if ratio is None else found["search"]
            Row(stage, seconds, "s", baseline, ratio, details).print(arguments.json)


def _run(shape: str, count: int, seed: int) -> dict[str, float]:
    table, fields = _job(shape)
    spec = parse_spec({"dataset": "table", "trials": count, "seed": seed, **fields})
    prepared = check_and_prepare(spec, table)
    problem = problem_of(prepared, torch.device("cpu"))
    strengths = strength_range(prepared, problem, lambda done, of: None)
    ends = (strengths.low, strengths.high)
    started = time.process_time()
    trials = _searched(prepared, count, ends)
    taken = {"search": time.process_time() - started, "path": 0.0, "features": 0.0}
    training = Training(problem, train, refit, ends)
    with tempfile.TemporaryDirectory() as folder, _timed(taken):
        store = Store(folder)

        def keep(name: str, data: bytes) -> Artifact:
            return Artifact(name, store.put(name, data), len(data))

        started = time.process_time()
        answers.answer(trials, prepared, training, keep)
        rest = time.process_time() - started - taken["path"] - taken["features"]
    return {"search": taken["search"], "evidence": rest, **taken}


def _job(shape: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    if shape == NET:
        inputs, target = load_breast_cancer(return_X_y=True)
        table = pd.DataFrame(inputs).add_prefix("x").assign(y=target)
        return table, {"model": {"kind": "mlp", "hidden": [64]}}
    return SHAPES[shape].table(), {"model": {"kind": "linear"}}


def _searched(prepared: Prepared, count: int, ends: tuple[float, float]) -> list[StudyTrial]:
    """Train trials drawn evenly over the penalties, in populations of a tenth of them."""
    draw = np.random.default_rng(prepared.spec.seed)
    params = [_drawn(prepared, place, draw, ends) for place in range(count)]
    problem = problem_of(prepared, torch.device("cpu"))
    trials: list[StudyTrial] = []
    for start in range(0, count, max(1, count // 10)):
        given = params[start : start + max(1, count // 10)]
        members = [Configuration.from_params(prepared.spec, own) for own in given]
        outcomes = outcomes_of(prepared.spec, members, train(problem, members), start)
        trials += [
            _trial(own.number, own.value, params[own.number], own.facts.attributes())
            for own in outcomes
            if own.value is not None
        ]
    return trials


def _drawn(
    prepared: Prepared, place: int, draw: np.random.Generator, ends: tuple[float, float]
) -> dict[str, Any]:
    penalties = prepared.spec.search.penalty
    low, high = np.log(ends)
    return {
        "penalty": penalties[place % len(penalties)],
        "lambda": float(np.exp(draw.uniform(low, high))),
        "l1_ratio": float(draw.uniform(0.05, 0.95)),
        "learning_rate": float(10 ** draw.uniform(-3, -1.5)),
        "weight_decay": 0.0,
    }


def _trial(
    number: int, value: float, params: dict[str, Any], attributes: dict[str, Any]
) -> StudyTrial:
    return StudyTrial(
        id=number + 1,
        number=number,
        state=TrialState.COMPLETE,
        value=value,
        params=params,
        distributions={},
        started_at=None,
        finished_at=None,
        attributes=attributes,
    )


@contextmanager
def _timed(taken: dict[str, float]) -> Iterator[None]:
    """Add what an answer's functions take to the stages that they are of."""

    def timing(own: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return own(*arguments, **options)
            finally:
                taken[stage] += time.process_time() - started

        return run

    with ExitStack() as stack:
        for name, stage in STAGES.items():
            own = timing(getattr(answers, name), stage)
            stack.enter_context(mock.patch.object(answers, name, own))
        yield


if __name__ == "__main__":
    main()
