"""Problems of benchmarks of linear paths: real and simulated, down from λ_max."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes

STRENGTHS = 100
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
