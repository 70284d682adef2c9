"""Compare what `exact` finds with what skglm finds: objectives of penalties that both have.

    python benchmarks/skglm_yardstick.py --skglm PYTHON [--penalty NAME] [problem ...]

PYTHON is that of an environment with `pip install skglm==0.5`. Problems: diabetes, wide (60 rows,
200 correlated columns), breast_cancer; all by default, weights and intercepts on standardised
columns. For each penalty and strength it prints our objective, by how much skglm's is higher from
zero (below zero: it found a lower minimum), by how much skglm still lowers ours when it begins
there, and how many weights each leaves. The adaptive lasso is skglm's lasso with our weights.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes

from workers.fullbatch.initial import adaptive_weights, at_optimum
from workers.fullbatch.links import link_of
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.kernels import Library, load
from workers.objectives.losses import Kind, row_losses
from workers.penalties.concave import concave_value
from workers.penalties.penalties import PENALTIES

SHARES = (0.7, 0.3, 0.1, 0.03, 0.01)  # of λ_max
PROBLEMS = ("diabetes", "wide", "breast_cancer")
GROUP = 5  # columns in a group
NAMES = (
    "l1",
    "l1 with factors",
    "adaptive_l1",
    "group_lasso",
    "group_lasso with factors",
    "mcp",
    "mcp with factors",
    "scad",
    "l0.5",
)


@dataclass(frozen=True)
class Problem:
    """Standardised columns, and targets that are so too or classes 0 and 1."""

    inputs: np.ndarray
    targets: np.ndarray
    kind: Kind

    @classmethod
    def named(cls, name: str) -> Problem:
        """Load or make up a problem."""
        if name == "wide":
            draw = np.random.default_rng(0)
            inputs = draw.normal(size=(60, 200)) + draw.normal(size=(60, 1))
            targets = inputs[:, :5] @ [3.0, -2.0, 1.5, 1.0, 0.5] + draw.normal(size=60)
        else:
            bundled = {"diabetes": load_diabetes, "breast_cancer": load_breast_cancer}[name]
            inputs, targets = bundled(return_X_y=True)
        inputs = (inputs - inputs.mean(0)) / inputs.std(0)
        if name == "breast_cancer":
            return cls(inputs, targets.astype(float), "binary")
        return cls(inputs, (targets - targets.mean()) / targets.std(), "regression")

    def fit(self, **fields: Any) -> LinearFit:
        """Return the problem for our solver."""
        rows = TrainingRows(torch.from_numpy(self.inputs), torch.from_numpy(self.targets))
        return LinearFit([rows], self.kind, 1, torch.float64, torch.device("cpu"), **fields)

    @property
    def steepest(self) -> float:
        """The largest entry of the loss's gradient at zero weights."""
        errors = self.targets.mean() - self.targets
        slope = link_of(self.kind).slope * self.inputs.T @ errors / len(errors)
        return float(np.abs(slope).max())


@dataclass(frozen=True)
class Case:
    """A penalty on a problem; factors (d,) of its columns, or weights if it is adaptive."""

    problem: Problem
    penalty: str
    factors: np.ndarray
    groups: tuple[tuple[int, ...], ...] | None

    @classmethod
    def named(cls, problem: Problem, name: str) -> Case:
        """Return the penalty, its factors 1, or three times each 1, 2 and 1/2."""
        penalty, _, given = name.partition(" ")
        width = problem.inputs.shape[1]
        factors = np.ones(width)
        if given:
            factors = np.array([(1.0, 2.0, 0.5)[place // GROUP % 3] for place in range(width)])
        if PENALTIES[penalty].adaptive:
            factors = adaptive_weights(problem.fit(), None)[0].numpy()
        starts = range(0, width, GROUP)
        own = tuple(tuple(range(start, min(width, start + GROUP))) for start in starts)
        return cls(problem, penalty, factors, own if penalty == "group_lasso" else None)

    def strengths(self) -> list[float]:
        """Return shares of about λ_max."""
        own = PENALTIES[self.penalty]
        slope = torch.tensor([self.problem.steepest], dtype=torch.float64)
        bend = link_of(self.problem.kind).bound
        if self.groups is not None:
            return [share * self.problem.steepest for share in SHARES]
        return [share * own.largest_useful_strength(slope, 0.5, (), bend) for share in SHARES]

    def objective(self, found: np.ndarray, strength: float) -> float:
        """Return mean loss plus penalty of weights and intercept (d + 1,), by their formulas."""
        weights = torch.from_numpy(found[:-1])
        outputs = torch.from_numpy(self.problem.inputs) @ weights[:, None] + found[-1]
        kind, targets = self.problem.kind, torch.from_numpy(self.problem.targets)
        loss = row_losses(kind, outputs, targets if kind == "regression" else targets.long())
        part, factors = PENALTIES[self.penalty].components(strength, 0.5), self.factors
        if self.groups is not None:
            pulls = sum(
                len(own) ** 0.5 * factors[own[0]] * weights[list(own)].norm() for own in self.groups
            )
            return float(loss.mean() + part.group * pulls)
        shape = (part.l1, part.concavity, part.knee, part.half)
        sizes = concave_value(weights, *(torch.tensor(own).double() for own in shape))
        sizes = sizes + part.adaptive * weights.abs()
        return float(loss.mean() + (torch.from_numpy(factors) * sizes).sum())

    def ours(self, strengths: list[float]) -> np.ndarray:
        """Return weights and intercepts (L, d + 1) by `exact`."""
        own, factors = PENALTIES[self.penalty], torch.from_numpy(self.factors)
        if own.adaptive:
            fit = self.problem.fit(adaptive=factors[None])
        else:
            fit = self.problem.fit(factors=factors, groups=self.groups)
        library = load(torch.float64)
        usable = library if isinstance(library, Library) else None
        parts = [own.components(strength, 0.5) for strength in strengths]
        solver = at_optimum(fit, Strengths.of(parts), usable)
        return torch.cat([solver.weights[0, :, 0], solver.intercepts[0]], 1).numpy()

    def theirs(self, python: str, strengths: list[float], starts: np.ndarray) -> dict[str, Any]:
        """Return what skglm_fits.py prints."""
        groups = self.groups or ((0,),)
        script = Path(__file__).with_name("skglm_fits.py")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "problem.npz"
            np.savez(
                file,
                inputs=self.problem.inputs,
                targets=self.problem.targets,
                classes=self.problem.kind == "binary",
                penalty=self.penalty,
                strengths=strengths,
                factors=self.factors,
                columns=np.concatenate(groups),
                edges=np.cumsum([0, *map(len, groups)]),
                starts=starts,
            )
            done = subprocess.run([python, script, file], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)


def compare(name: str, python: str, penalties: Sequence[str]) -> None:
    """Print a line for each penalty and strength."""
    problem = Problem.named(name)
    for penalty in penalties:
        case = Case.named(problem, penalty)
        strengths = case.strengths()
        ours = case.ours(strengths)
        theirs = case.theirs(python, strengths, ours)
        print(f"{name}, {penalty}")
        for place, strength in enumerate(strengths):
            cold, warm = (np.array(theirs[key][place]) for key in ("cold", "warm"))
            own = case.objective(ours[place], strength)
            above, left = (case.objective(each, strength) - own for each in (cold, warm))
            counts = [int(np.count_nonzero(each[:-1])) for each in (ours[place], cold)]
            print(
                f"  λ {strength:.4g}: {own:.8f}, skglm {above:+.1e}, from ours {left:+.1e}, "
                f"weights {counts[0]} and {counts[1]}"
            )


def main() -> None:
    """Read the arguments and compare."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("problems", nargs="*", help=f"of {', '.join(PROBLEMS)}")
    arguments.add_argument("--skglm", required=True, help="a Python that has skglm")
    arguments.add_argument("--penalty", action="append", choices=NAMES, help="all by default")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    for name in options.problems or PROBLEMS:
        compare(name, options.skglm, options.penalty or NAMES)


if __name__ == "__main__":
    main()
