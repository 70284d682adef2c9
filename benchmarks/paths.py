"""Cross-validated paths, 100 strengths and 5 folds, next to scikit-learn's and celer's estimators.

    OMP_NUM_THREADS=1 python benchmarks/paths.py [--repeats 5] [--shape "lasso 2000 x 500"]
        [--penalty l1] [--job]

Ours is a worker's code in this process: every strength on every fold as trials of a path job are
trained, and the refits of all strengths on all rows. `--job` also prints the job over REST, from
POST to its last trial and to its answer (with confirmation, features and the sealed test set), on
`ridgeway serve` with a worker a core. The others: LassoCV and ElasticNetCV (tol 1e-6), and
LogisticRegressionCV by liblinear at every tenth strength, times ten, which all refit one strength;
and `celer_path` (tol 1e-7) on each fold and on all rows. All have the same rows, folds
and strengths, one process; runs are interleaved. `apart` is the largest relative difference between
the mean losses of both on the folds, which are all standardised alike here, beforehand.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demo import run_ours, serving
from linear_cv import FOLDS, add
from linear_problems import PROBLEMS, STRENGTHS, Floats, Problem
from linear_yardsticks import EVERY, Missing
from rows import Row, median, parser
from sklearn.linear_model import ElasticNetCV, LassoCV, LogisticRegressionCV
from sklearn.model_selection import KFold, StratifiedKFold

from ridgeway.spec.wording import parse_spec
from workers.data.folds import Fold
from workers.population.configuration import Configuration
from workers.population.problem import Problem as Training
from workers.train import refit, train

RATIO = 0.5  # the mixing of elastic nets
PENALTIES = ("l1", "elastic_net")


@dataclass(frozen=True)
class Case:
    """A problem with its folds and the strengths of a penalty, from the largest down."""

    problem: Problem
    penalty: str
    folds: list[tuple[np.ndarray, np.ndarray]]

    @property
    def ratio(self) -> float:
        """Return the share of Σ |w|."""
        return RATIO if self.penalty == "elastic_net" else 1.0

    @property
    def strengths(self) -> Floats:
        """Return the penalty's strengths: those of the l1 norm over its share."""
        return self.problem.strengths / self.ratio


@dataclass(frozen=True)
class Run:
    """The seconds of a path, and its mean losses on the folds, by the strengths' places."""

    seconds: float
    losses: dict[int, float]


def case_of(problem: Problem, penalty: str) -> Case:
    """Draw the folds, stratified for classes."""
    kind = StratifiedKFold if problem.classes else KFold
    split = kind(FOLDS, shuffle=True, random_state=0).split(problem.inputs, problem.targets)
    return Case(problem, penalty, list(split))


# --- ours -------------------------------------------------------------------------------------


def ours(case: Case) -> Run:
    """Train and score every strength on every fold, and refit all of them on all rows."""
    task = "classification" if case.problem.classes else "regression"
    linear = {"model": {"kind": "linear"}, "task": task, "l1_ratio": case.ratio}
    path = {"kind": "path", "dataset": "digits", "penalty": case.penalty, **linear}
    if case.penalty != "elastic_net":
        del path["l1_ratio"]
    spec = parse_spec(path)
    everyone = np.arange(len(case.problem.targets))
    folds = [_fold(case.problem, *rows) for rows in case.folds]
    whole = _fold(case.problem, everyone, everyone[:0])
    started = time.perf_counter()
    members = [
        Configuration.from_params(
            spec, {"penalty": case.penalty, "lambda": float(own), "l1_ratio": case.ratio}
        )
        for own in case.strengths
    ]
    problem = Training(spec, folds, 1, torch.device("cpu"))
    scored = train(problem, members)
    refit(Training(spec, [whole], 1, torch.device("cpu")), members)
    seconds = time.perf_counter() - started
    return Run(seconds, dict(enumerate(scored.values.tolist())))


def _fold(problem: Problem, train_rows: np.ndarray, valid_rows: np.ndarray) -> Fold:
    inputs = torch.tensor(problem.inputs, dtype=torch.float32)
    targets = torch.tensor(problem.targets).to(torch.int64 if problem.classes else torch.float64)
    seen = targets[train_rows] if problem.classes else targets[train_rows].float()
    return Fold(inputs[train_rows], seen, inputs[valid_rows], targets[valid_rows], 0.0, 1.0)


# --- the others -------------------------------------------------------------------------------


def scikit_learn(case: Case) -> Run:
    """Fit LassoCV, ElasticNetCV or LogisticRegressionCV."""
    if case.problem.classes:
        return _classes(case)
    kind = ElasticNetCV if case.penalty == "elastic_net" else LassoCV
    return _squares(case, kind, tol=1e-6)


def celer(case: Case) -> Run:
    """Follow a path on each fold and on all rows, as celer's LassoCV does.

    LassoCV itself, of celer 0.7, asks for an older scikit-learn.
    """
    if case.problem.classes or case.penalty != "l1":
        raise Missing("celer's paths with an intercept taken off are those of the lasso alone")
    try:
        from celer import celer_path
    except ImportError:
        raise Missing("celer is not installed: pip install celer") from None
    inputs, targets = case.problem.inputs, case.problem.targets
    everyone = np.arange(len(targets))
    losses, started = [], time.perf_counter()
    for rows, judged in [*case.folds, (everyone, everyone[:0])]:
        means, mean = inputs[rows].mean(0), targets[rows].mean()
        centred = np.asfortranarray(inputs[rows] - means)
        alphas = case.strengths / 2
        _, found, _ = celer_path(centred, targets[rows] - mean, "lasso", alphas=alphas, tol=1e-7)
        if len(judged):
            predicted = (inputs[judged] - means) @ found + mean
            losses.append(np.square(predicted - targets[judged, None]).mean(0))
    return Run(time.perf_counter() - started, dict(enumerate(np.mean(losses, 0).tolist())))


def _squares(case: Case, kind: Callable[..., Any], tol: float) -> Run:
    # alpha * l1_ratio = λ r / 2, alpha * (1 - l1_ratio) = λ (1 - r)
    alphas = case.strengths * (1 - case.ratio / 2)
    mixing = {"l1_ratio": case.ratio / (2 - case.ratio)} if case.penalty == "elastic_net" else {}
    model = kind(alphas=alphas, cv=case.folds, tol=tol, max_iter=100_000, n_jobs=1, **mixing)
    started = time.perf_counter()
    model.fit(np.asfortranarray(case.problem.inputs), case.problem.targets)
    seconds = time.perf_counter() - started
    paths = np.asarray(model.mse_path_).reshape(len(alphas), FOLDS)
    return Run(seconds, dict(enumerate(paths.mean(1).tolist())))


def _classes(case: Case) -> Run:
    if case.penalty == "elastic_net":
        raise Missing("liblinear has no elastic net, and saga takes minutes")
    places = list(range(EVERY - 1, STRENGTHS, EVERY))
    rows = len(case.problem.targets) * (1 - 1 / FOLDS)
    model = LogisticRegressionCV(
        Cs=1 / (rows * case.strengths[places]),
        cv=case.folds,
        l1_ratios=(1.0,),
        solver="liblinear",
        scoring="neg_log_loss",
        intercept_scaling=100.0,
        tol=1e-5,
        max_iter=10_000,
        use_legacy_attributes=False,
    )
    started = time.perf_counter()
    model.fit(case.problem.inputs, case.problem.targets)
    seconds = (time.perf_counter() - started) * EVERY
    losses = -np.asarray(model.scores_).reshape(FOLDS, len(places)).mean(0)
    return Run(seconds, dict(zip(places, losses.tolist(), strict=True)))


YARDSTICKS: dict[str, Callable[[Case], Run]] = {"scikit-learn": scikit_learn, "celer": celer}


# --- rows -------------------------------------------------------------------------------------


def compared(name: str, case: Case, repeats: int) -> list[Row]:
    """Return our seconds next to each yardstick's."""
    own: list[Run] = []
    others: dict[str, list[Run]] = {yardstick: [] for yardstick in YARDSTICKS}
    ours(case)  # the kernels are compiled once a machine
    for number in range(repeats):
        own.append(ours(case))
        for yardstick, fit in YARDSTICKS.items():
            try:
                if number == 0:
                    fit(case)
                others[yardstick].append(fit(case))
            except Missing as missing:
                if number == 0:
                    print(f"{name}, {case.penalty}: {missing}", file=sys.stderr)
    return [_row(name, case, each, own, runs) for each, runs in others.items() if runs]


def _row(name: str, case: Case, yardstick: str, own: list[Run], others: list[Run]) -> Row:
    value, baseline = (median([run.seconds for run in runs]) for runs in (own, others))
    found = own[0].losses
    apart = max(abs(found[place] / loss - 1) for place, loss in others[0].losses.items())
    parameters = {"problem": name, "penalty": case.penalty, "against": yardstick}
    return Row(
        "path_cv",
        value,
        "s",
        baseline,
        baseline / value,
        {**parameters, "folds": FOLDS, "strengths": STRENGTHS, "apart": f"{apart:.1e}"},
    )


def as_job(name: str, case: Case, repeats: int) -> list[Row]:
    """Return the seconds of a path job over REST, to its last trial and to its answer."""
    dataset = name.replace(" ", "_")
    spec = {"kind": "path", "dataset": dataset, "penalty": case.penalty, "strengths": STRENGTHS}
    spec |= {"model": {"kind": "linear"}, "validation": {"kind": "folds", "folds": FOLDS}}
    with tempfile.TemporaryDirectory() as place, serving(Path(place)) as (client, _):
        add(client, Path(place), dataset, case.problem)
        runs = [run_ours(client, {**spec, "seed": number}) for number in range(repeats)]
    parameters = {"problem": name, "penalty": case.penalty}
    return [
        Row(f"path_job_{key}", median([run[key] for run in runs]), "s", parameters=parameters)
        for key in ("search", "answer")
    ]


def main() -> int:
    """Print the rows of each shape and penalty."""
    arguments = parser(__doc__)
    arguments.add_argument("--shape", choices=PROBLEMS, help="this one alone")
    arguments.add_argument("--penalty", choices=PENALTIES, help="this one alone")
    arguments.add_argument("--job", action="store_true", help="over REST as well")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")  # of strengths at which a baseline has not converged
    torch.set_num_threads(1)
    for name, make in PROBLEMS.items():
        if given.shape not in (None, name):
            continue
        problem = make()
        for penalty in PENALTIES if given.penalty is None else (given.penalty,):
            case = case_of(problem, penalty)
            rows = compared(name, case, given.repeats)
            for row in [*rows, *(as_job(name, case, given.repeats) if given.job else [])]:
                row.print(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
