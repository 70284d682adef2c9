"""Solve a lasso path by adelie and print it as JSON; run by a Python that has adelie and numpy 1.

    /an/environment/bin/python benchmarks/adelie_path.py problem.npz

The file holds inputs (n, d), targets (n,), strengths (L,) of mean loss + strength Σ|w|, whether
the targets are classes, and the places of the strengths whose solutions are printed.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

TOLERANCE = 1e-12
WARM_UP = 5  # strengths, so that what is loaded at the first call is not counted


def main() -> None:
    """Print seconds and, for each place that is asked for, weights and intercept."""
    import adelie

    given = np.load(sys.argv[1])
    inputs = np.asfortranarray(given["inputs"], dtype=np.float64)
    targets, classes = given["targets"].astype(np.float64), bool(given["classes"])
    loss = adelie.glm.binomial(y=targets) if classes else adelie.glm.gaussian(y=targets)
    # adelie halves squares.
    strengths = given["strengths"] / (1 if classes else 2)
    options = {
        "early_exit": False,
        "progress_bar": False,
        "n_threads": 1,
        "tol": TOLERANCE,
        "irls_tol": TOLERANCE,
    }
    adelie.grpnet(inputs, loss, lmda_path=strengths[:WARM_UP], **options)
    started = time.perf_counter()
    state = adelie.grpnet(inputs, loss, lmda_path=strengths, **options)
    seconds = time.perf_counter() - started
    weights, intercepts = state.betas.toarray(), np.asarray(state.intercepts)
    found = {
        int(place): [weights[place].tolist(), float(intercepts[place])]
        for place in given["places"]
        if place < len(weights)
    }
    print(json.dumps({"seconds": seconds, "found": found}))


if __name__ == "__main__":
    main()
