"""Linear models along a path of 100 strengths, next to scikit-learn at equal precision.

    OMP_NUM_THREADS=1 python benchmarks/linear.py [--repeats 3] [--shape "lasso 2000 x 500"]

Seconds of one core for 100 strengths from the largest useful one down, each solved by itself as a
job's trials are, with the ladder that they start from; data are simulated but for diabetes and
breast_cancer. `excess` is the largest relative excess of the objective over the
better of the two. scikit-learn: `lasso_path`, and LogisticRegression by liblinear, warm starts
being of no use to it, at every tenth strength, times ten.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row, median, parser
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, lasso_path

from workers.fullbatch.exact import ExactFold
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.kernels import load
from workers.penalties.components import Components

STRENGTHS = 100
EVERY = 10  # of the strengths that a slow baseline is fitted at
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """Standardised inputs (n, d), targets (n,), and by how much the strengths fall."""

    inputs: Floats
    targets: Floats
    lowest: float
    classes: bool

    @property
    def strengths(self) -> Floats:
        """The strengths of the l1 norm, from λ_max down."""
        slopes = self.inputs.T @ (self.targets - self.targets.mean()) / len(self.targets)
        largest = np.abs(slopes).max() * (1 if self.classes else 2)
        return largest * np.logspace(0, np.log10(self.lowest), STRENGTHS)

    def objective(self, weights: Floats, intercept: float, strength: float) -> float:
        """Return mean loss + strength Σ|w|."""
        outputs = self.inputs @ weights + intercept
        if self.classes:
            losses = np.logaddexp(0, np.where(self.targets > 0, -outputs, outputs))
        else:
            losses = np.square(outputs - self.targets)
        return float(losses.mean() + strength * np.abs(weights).sum())


@dataclass(frozen=True)
class Path:
    """What a solver found at some of the strengths, and the seconds that all would take."""

    seconds: float
    objectives: dict[int, float]


def ours(problem: Problem) -> Path:
    """Solve every strength by itself, as members of a job are; setting up counts."""
    library = load(torch.float32)
    assert not isinstance(library, str), library
    kind = "binary" if problem.classes else "regression"
    inputs = torch.tensor(problem.inputs, dtype=torch.float32)
    targets = torch.tensor(problem.targets, dtype=torch.int64 if problem.classes else None)
    rows = TrainingRows(inputs, targets)
    started = time.perf_counter()
    fit = LinearFit([rows], kind, 1, torch.float32, torch.device("cpu"))
    wanted = [Wanted(Components(l1=float(own))) for own in problem.strengths]
    fold = ExactFold(fit, rows, library)
    solved = [fold.solve(member) for member in wanted]
    seconds = time.perf_counter() - started
    values: dict[int, float] = {}
    for place, found in enumerate(solved):
        assert found is not None
        assert found.converged
        weights, intercept = found.weights[0].numpy(), found.intercepts.item()
        values[place] = problem.objective(weights, intercept, float(problem.strengths[place]))
    return Path(seconds, values)


def scikit_learn(problem: Problem) -> Path:
    """Fit scikit-learn's estimators to about the same precision."""
    if not problem.classes:
        started = time.perf_counter()
        _, found, _ = lasso_path(
            problem.inputs, problem.targets, alphas=problem.strengths / 2, tol=1e-6
        )
        seconds = time.perf_counter() - started
        values = [
            problem.objective(found[:, place], 0.0, float(own))
            for place, own in enumerate(problem.strengths)
        ]
        return Path(seconds, dict(enumerate(values)))
    values, seconds = {}, 0.0
    for place in range(EVERY - 1, STRENGTHS, EVERY):
        own = float(problem.strengths[place])
        model = LogisticRegression(
            C=1 / (len(problem.targets) * own),
            l1_ratio=1,
            solver="liblinear",
            intercept_scaling=100.0,
            tol=1e-5,
            max_iter=10_000,
        )
        started = time.perf_counter()
        model.fit(problem.inputs, problem.targets)
        seconds += (time.perf_counter() - started) * EVERY
        values[place] = problem.objective(model.coef_[0], float(model.intercept_[0]), own)
    return Path(seconds, values)


def simulated(rows: int, columns: int, lowest: float, *, classes: bool) -> Problem:
    """Return a problem of which a tenth of the columns, at most 30, tell something."""
    draw = np.random.default_rng(rows + columns)
    inputs = draw.normal(size=(rows, columns))
    telling = max(5, min(30, columns // 10))
    signal = inputs[:, :telling] @ draw.normal(size=telling)
    noise = np.sqrt(telling) / 2
    if classes:
        targets = (signal + noise * draw.logistic(size=rows) > 0).astype(float)
    else:
        targets = signal + noise * draw.normal(size=rows)
    return standardised(inputs, targets, lowest, classes=classes)


def standardised(inputs: Floats, targets: Floats, lowest: float, *, classes: bool) -> Problem:
    """Return the problem as a fold would have it, in the precision that workers get."""
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    if not classes:
        targets = (targets - targets.mean()) / targets.std()
    return Problem(inputs.astype(np.float32).astype(float), targets, lowest, classes)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "lasso 442 x 10": lambda: standardised(*load_diabetes(return_X_y=True), 1e-3, classes=False),
    "lasso 300 x 10000": lambda: simulated(300, 10_000, 1e-2, classes=False),
    "lasso 2000 x 500": lambda: simulated(2000, 500, 1e-3, classes=False),
    "lasso 100000 x 20": lambda: simulated(100_000, 20, 1e-3, classes=False),
    "logistic 569 x 30": lambda: standardised(
        *load_breast_cancer(return_X_y=True), 1e-2, classes=True
    ),
    "logistic 72 x 7129": lambda: simulated(72, 7129, 1e-2, classes=True),
    "logistic 4600 x 57": lambda: simulated(4600, 57, 1e-2, classes=True),
    "logistic 100000 x 20": lambda: simulated(100_000, 20, 1e-2, classes=True),
}


def compared(name: str, problem: Problem, repeats: int) -> Row:
    """Return seconds of both, interleaved."""
    pairs = [(ours(problem), scikit_learn(problem)) for _ in range(repeats)]
    value = median([own.seconds for own, _ in pairs])
    baseline = median([other.seconds for _, other in pairs])
    own, other = pairs[0]
    shared = [(own.objectives[place], other.objectives[place]) for place in other.objectives]
    excess = {
        "excess": max(a / min(a, b) - 1 for a, b in shared),
        "excess_of_baseline": max(b / min(a, b) - 1 for a, b in shared),
    }
    parameters = {"problem": name, **{key: f"{one:.1e}" for key, one in excess.items()}}
    return Row("path_seconds", value, "s", baseline, baseline / value, parameters)


def main() -> int:
    """Print a row for each shape."""
    arguments = parser(__doc__)
    arguments.add_argument("--shape", choices=PROBLEMS, help="this one alone")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")  # of strengths at which the baseline has not converged
    torch.set_num_threads(1)
    for name, make in PROBLEMS.items():
        if given.shape in (None, name):
            compared(name, make(), given.repeats).print(given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
