"""Nets that lose columns along a path: the hierarchical penalty beside LassoNet itself.

    python -m venv /tmp/lassonet && /tmp/lassonet/bin/pip install lassonet==0.0.21
    python benchmarks/lassonet.py --lassonet /tmp/lassonet/bin/python [--json] [--case digits]

digits: scikit-learn's, a layer of 64. strong_linear and friedman: two of LassoNet's own made-up
cases (its examples/generated.py), with its layers of 10 and 10: 400 x 20, of which 10 columns tell
something, and 1,000 x 200, of which 5 do. A quarter of the rows is held back to compare by.
LassoNet traces its path by its defaults but for the factor between strengths (--multiplier). Ours
is a path job's: 32 strengths, placed by what a first pass over 15 finds, side by side in one
population, by adam under a cosine schedule. For each k the weakest model with at most k columns
counts, on either side: no score chooses. Seconds are of the processor, and count the first pass.
"debiased" is `"refit": "debias"` of that model, a net of its columns trained without a penalty; and
for LassoNet the same net of the columns that it has chosen, so that only the choice differs.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import Row, parser
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from ridgeway.spec.wording import parse_spec
from workers.data.folds import Fold
from workers.models.building import predict
from workers.population.configuration import Configuration
from workers.population.problem import Problem, path_problem
from workers.population.watch import Watch
from workers.strength.placing import placed_strengths
from workers.train import refit

LIMIT = 10.0
STRENGTHS = 32
RATE = 1e-2


@dataclass(frozen=True)
class Point:
    """A model on a path: its score, and which columns it uses, (inputs,) of truths."""

    score: float
    used: np.ndarray

    @property
    def columns(self) -> int:
        """How many columns it uses."""
        return int(self.used.sum())


Points = list[Point]  # from the weakest strength on


@dataclass(frozen=True)
class Case:
    """A problem: inputs and targets standardised (but classes), which columns are true, k to tell.

    epochs: ours.
    """

    x: np.ndarray
    y: np.ndarray
    hidden: tuple[int, ...]
    columns: tuple[int, ...]
    epochs: int

    @property
    def classes(self) -> bool:
        """Whether the targets are classes."""
        return self.y.dtype.kind == "i"


def digits(seed: int) -> Case:
    """Return scikit-learn's 1,797 images of 64 pixels."""
    x, y = load_digits(return_X_y=True)
    return Case(x, y.astype(np.int64), (64,), (50, 40, 30, 20, 10, 5), 100)


def strong_linear(seed: int) -> Case:
    """Return LassoNet's case of ten linear terms and a cubic one, among twenty columns."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(400, 20))
    linear = x[:, :10] @ draw.choice([-1.0, 1.0], 10)
    bent = 2 * (x[:, 0] ** 3 - 3 * x[:, 0]) + 4 * (x[:, 1] ** 2 * x[:, 2] - x[:, 2])
    y = 6 * linear + 8 * draw.normal(size=400) + bent
    return Case(x, y, (10, 10), (20, 15, 10, 8, 5), 300)


def friedman(seed: int) -> Case:
    """Return LassoNet's case of Friedman's function without noise, among 200 columns."""
    x = np.random.default_rng(seed).random((1000, 200))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    return Case(x, y + 10 * x[:, 3] + 5 * x[:, 4], (10, 10), (100, 20, 10, 5, 4), 300)


CASES = {"digits": digits, "strong_linear": strong_linear, "friedman": friedman}


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--lassonet", required=True, help="a Python that has it")
    options.add_argument("--multiplier", type=float, default=1.05)
    options.add_argument("--case", choices=list(CASES))
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    torch.set_num_threads(1)
    for name, made in CASES.items():
        if given.case in (None, name):
            case = made(given.seed)
            problem = parted(case, given.seed)
            own, theirs = ours(case, problem), lassonets(case, problem, given)
            for row in compared(name, case, problem, (own, theirs)):
                row.print(given.json)


def parted(case: Case, seed: int) -> dict[str, np.ndarray]:
    """Return three quarters of the rows to train on and the others, standardised by the former."""
    by = case.y if case.classes else None
    parts: list[Any] = train_test_split(
        case.x, case.y, test_size=0.25, random_state=seed, stratify=by
    )
    x, test_x, y, test_y = parts
    scaler = StandardScaler().fit(x)
    if not case.classes:
        y, test_y = (y - y.mean()) / y.std(), (test_y - y.mean()) / y.std()
    return {"x": scaler.transform(x), "y": y, "test_x": scaler.transform(test_x), "test_y": test_y}


def problem_of(case: Case, given: dict[str, np.ndarray], columns: Sequence[int]) -> Problem:
    """Return our problem of these columns; its one fold is judged by the rows held back."""
    x, test_x = (torch.from_numpy(given[name][:, columns]).float() for name in ("x", "test_x"))
    kind = torch.int64 if case.classes else torch.float32
    y, test_y = (torch.from_numpy(given[name]).to(kind) for name in ("y", "test_y"))
    spec = parse_spec(
        {
            "kind": "path",
            "dataset": "made up",
            "task": "classification" if case.classes else "regression",
            "model": {"kind": "mlp", "hidden": list(case.hidden), "skip": True},
            "optimizer": "adam",
            "schedule": "cosine",
            "epochs": case.epochs,
            "hierarchy": LIMIT,
            "validation": {"kind": "holdout"},
            "penalty": "hierarchical",
            "strengths": STRENGTHS,
            "learning_rate": RATE,
        }
    )
    outputs = int(y.max()) + 1 if case.classes else 1
    fold = Fold(x, y, test_x, test_y, 0.0, 1.0)
    sources = tuple(str(column) for column in columns)
    return path_problem(Problem(spec, [fold], outputs, torch.device("cpu"), sources=sources))


def ours(case: Case, given: dict[str, np.ndarray]) -> tuple[float, Points]:
    """Return processor seconds, and the model at each strength."""
    problem = problem_of(case, given, range(given["x"].shape[1]))
    started = time.process_time()
    strengths = placed_strengths(problem, Watch()).placed[::-1]
    members = [Configuration("hierarchical", own, 0.0, RATE, 0.0) for own in strengths]
    models = refit(problem, members)
    seconds = time.process_time() - started
    assert models.features is not None
    found: Points = []
    for place in range(STRENGTHS):
        parameters = models.parameters(place, 0)
        fed = [parameters["0.weight"], parameters["skip.weight"]]
        used = torch.stack([(weights != 0).any(0) for weights in fed]).any(0)
        found.append(Point(score(case, problem, parameters), used.numpy()))
    return seconds, found


def debiased(case: Case, given: dict[str, np.ndarray], used: np.ndarray) -> float:
    """Return the score of a net of these columns alone, trained without a penalty."""
    problem = problem_of(case, given, np.flatnonzero(used).tolist())
    models = refit(problem, [Configuration("none", 0.0, 0.0, RATE, 0.0)])
    return score(case, problem, models.parameters(0, 0))


def score(case: Case, problem: Problem, parameters: dict[str, torch.Tensor]) -> float:
    """Return the accuracy, or R², of a model on the rows held back."""
    (fold,) = problem.folds
    logits = predict(problem.spec, parameters, fold.valid_inputs, problem.outputs)
    truth = fold.valid_targets
    if case.classes:
        return (logits.argmax(1) == truth).double().mean().item()
    errors = (logits[:, 0] - truth).double().square().mean()
    return 1 - (errors / truth.double().var(correction=0)).item()


def lassonets(case: Case, problem: dict[str, np.ndarray], given: Any) -> tuple[float, Points]:
    """Return the same of LassoNet's path."""
    options = {
        "classes": case.classes,
        "hidden": case.hidden,
        "limit": LIMIT,
        "multiplier": given.multiplier,
        "seed": given.seed,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        np.savez(path, **problem, **options)
        script = Path(__file__).parent / "lassonet_path.py"
        found = subprocess.run(
            [given.lassonet, "-P", str(script), str(path)],  # or it imports this file as lassonet
            check=True,
            capture_output=True,
            text=True,
        )
    told = json.loads(found.stdout)
    return told["seconds"], [Point(own["score"], np.array(own["used"])) for own in told["path"]]


def compared(
    name: str,
    case: Case,
    given: dict[str, np.ndarray],
    paths: tuple[tuple[float, Points], tuple[float, Points]],
) -> Iterator[Row]:
    """Yield the scores at each k, ours beside LassoNet's, then the seconds."""
    own, theirs = paths
    measure = "accuracy" if case.classes else "R²"
    for most in case.columns:
        points = [found for _, path in paths if (found := weakest(path, most)) is not None]
        if len(points) < len(paths):  # a path that goes to zero above k
            yield Row(f"{name}, not on both paths", most, "columns", None, None, {"k": most})
            continue
        details = {"k": most, "columns": points[0].columns, "theirs": points[1].columns}
        again = [debiased(case, given, point.used) for point in points]
        for what, (value, its) in (("", [p.score for p in points]), (", debiased", again)):
            ratio = value / its if its > 0 else None
            yield Row(f"{name}, {measure}{what}", value, "", its, ratio, details)
    models = {"models": len(own[1]), "theirs": len(theirs[1])}
    yield Row(f"{name}, path", own[0], "s", theirs[0], theirs[0] / own[0], models)


def weakest(points: Sequence[Point], most: int) -> Point | None:
    """Return the first point with at most so many columns, and more than none, if there is one."""
    return next((point for point in points if 0 < point.columns <= most), None)


if __name__ == "__main__":
    main()
