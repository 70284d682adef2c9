"""Minimise by skglm and print what it finds as JSON; run by a Python that has skglm.

    /an/environment/bin/python benchmarks/skglm_fits.py problem.npz

The file holds inputs (n, d), targets (n,), whether these are classes 0 and 1, the penalty's name,
strengths (L,) of mean loss + penalty, factors (d,) of the columns, columns (d,) in the order of
their groups and edges (G + 1,) of the groups among them, and starts (L, d + 1): weights and
intercept that skglm goes on from, besides from zero.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np

ITERATIONS, TOLERANCE = 2000, 1e-11
GAMMA, A = 3.0, 3.7  # of MCP and SCAD
# SCAD's knee is its strength, in units of the weights: of half a mean square those must be shorter.
SHORTER = math.sqrt(2)


def main() -> None:
    """Print weights and intercept for each strength, from zero and from its start."""
    given = np.load(sys.argv[1])
    inputs, name = np.asfortranarray(given["inputs"]), str(given["penalty"])
    classes = bool(given["classes"])
    scale = SHORTER if name == "scad" and not classes else 1.0
    fits = [Fit(given, name, classes, scale, float(own)) for own in given["strengths"]]
    cold = [fit.found(inputs * scale, None) for fit in fits]
    starts = given["starts"] / np.append(np.full(inputs.shape[1], scale), 1.0)
    warm = [fit.found(inputs * scale, own) for fit, own in zip(fits, starts, strict=True)]
    print(json.dumps({"cold": cold, "warm": warm}))


class Fit:
    """One problem in skglm's terms: half of mean squares, or labels -1 and 1."""

    def __init__(self, given: Any, name: str, classes: bool, scale: float, strength: float) -> None:
        from skglm import datafits
        from skglm.solvers import AndersonCD, GroupBCD

        self.scale = scale
        self.targets = given["targets"] * 2.0 - 1 if classes else given["targets"]
        options = {"max_iter": ITERATIONS, "tol": TOLERANCE, "fit_intercept": True}
        groups = (given["edges"].astype(np.int32), given["columns"].astype(np.int32))
        if name == "group_lasso":
            self.solver = GroupBCD(**options)
            loss: Any = datafits.LogisticGroup if classes else datafits.QuadraticGroup
            self.loss = loss(*groups)
        else:
            fixed = "fixpoint" if name == "l0.5" else "subdiff"
            self.solver = AndersonCD(ws_strategy=fixed, **options)
            self.loss = datafits.Logistic() if classes else datafits.Quadratic()
        self.penalty = penalty(name, strength, 1.0 if classes else 2.0, given["factors"], groups)

    def found(self, inputs: np.ndarray, start: np.ndarray | None) -> list[float]:
        """Return weights and intercept."""
        first = None if start is None else inputs @ start[:-1] + start[-1]
        given = inputs, self.targets, self.loss, self.penalty
        weights = self.solver.solve(*given, start, first)[0]
        return [*(weights[:-1] * self.scale).tolist(), float(weights[-1])]


def penalty(name: str, strength: float, halves: float, factors: Any, groups: Any) -> Any:
    """Return ours over `halves`, by which skglm's loss is ours."""
    from skglm import penalties as known

    if name in ("l1", "adaptive_l1"):
        return known.WeightedL1(strength / halves, factors)
    if name == "l0.5":
        return known.L0_5(strength / halves)
    if name == "mcp":
        return known.WeightedMCPenalty(strength / halves, GAMMA * halves, factors)
    if name == "scad":
        return known.SCAD(strength / math.sqrt(halves), A)
    edges, columns = groups
    own = np.sqrt(np.diff(edges)) * factors[columns[edges[:-1]]]
    return known.WeightedGroupL2(strength / halves, own, edges, columns)


if __name__ == "__main__":
    main()
