"""Time the decision on a whole population at a rung, beside stock Optuna's `should_prune`.

The history is in memory for both: Optuna's pruner reads an in-memory study, ours its columns. Stock
is asked for a few members in turn; the figure is what the whole population would take.

Run: python benchmarks/pruning.py [--json] [--trials 10000] [--population 256] [--repeats 15]
"""

from __future__ import annotations

import time

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState, create_trial
from rows import Row, median, parser

from workers.pruning.pruner import Pruner
from workers.pruning.reports import Reports
from workers.pruning.rules import HalvingRule, MedianRule, Rule

EPOCHS = 30
STEP = 4  # a rung of both rules
ASKED = 4  # members for whom stock is asked
RULES: dict[str, tuple[Rule, BasePruner]] = {
    "median": (MedianRule(5, 1, 1), MedianPruner(5, 1, 1)),
    "halving": (HalvingRule(1, 4), SuccessiveHalvingPruner(1, 4)),
}


def main() -> None:
    """Print a row for each rule."""
    options = parser(__doc__)
    options.set_defaults(repeats=15)
    options.add_argument("--trials", type=int, default=10_000, help="history of the study")
    options.add_argument("--population", type=int, default=256)
    arguments = options.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    curves = np.random.default_rng(0).uniform(0.0, 1.0, (arguments.trials, EPOCHS)).cumsum(1)
    for name, (rule, stock) in RULES.items():
        ours, theirs = _reports(curves, rule), _study(curves, stock)
        seconds: list[float] = []
        stock_seconds: list[float] = []
        for repeat in range(arguments.repeats):
            population = np.random.default_rng(repeat).uniform(0, 1, (arguments.population, STEP))
            seconds.append(_seconds_of_ours(Pruner(rule, ours, False), population))
            stock_seconds.append(_seconds_of_stock(theirs, population[:ASKED]))
        value = median(seconds) * 1e3
        baseline = median(stock_seconds) / ASKED * arguments.population * 1e3
        parameters = {
            "pruner": name,
            "trials": arguments.trials,
            "population": arguments.population,
        }
        Row("prune", value, "ms", baseline, baseline / value, parameters).print(arguments.json)


def _reports(curves: np.ndarray, rule: Rule) -> Reports:
    reports = Reports(rule.rungs(EPOCHS))
    for number, curve in enumerate(curves):
        reports.take(number, TrialState.COMPLETE, dict(enumerate(curve, start=1)))
    return reports


def _study(curves: np.ndarray, pruner: BasePruner) -> optuna.Study:
    study = optuna.create_study(pruner=pruner)
    study.add_trials(
        create_trial(
            value=float(curve[-1]),
            intermediate_values={step: float(v) for step, v in enumerate(curve, start=1)},
            # What stock successive halving keeps of the rungs that a trial has passed.
            system_attrs={f"completed_rung_{r}": float(curve[4**r - 1]) for r in range(3)},
        )
        for curve in curves
    )
    return study


def _seconds_of_ours(pruner: Pruner, population: np.ndarray) -> float:
    first = 1_000_000
    curves = {first + index: curve.tolist() for index, curve in enumerate(population)}
    started = time.perf_counter()
    pruner.decide(STEP, curves)
    return time.perf_counter() - started


def _seconds_of_stock(study: optuna.Study, population: np.ndarray) -> float:
    """Return seconds of asking once for each member, which then leaves."""
    spent = 0.0
    for curve in population:
        trial = study.ask()
        for step, value in enumerate(curve, start=1):
            trial.report(float(value), step)
        started = time.perf_counter()
        trial.should_prune()
        spent += time.perf_counter() - started
        study.tell(trial, state=TrialState.FAIL)
    return spent


if __name__ == "__main__":
    main()
