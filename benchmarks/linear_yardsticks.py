"""Other packages' solvers along a linear path, to about the same precision as ours."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path as File

import numpy as np
from linear_problems import STRENGTHS, Floats, Path, Problem
from sklearn.linear_model import LogisticRegression, lasso_path

EVERY = 10  # of the strengths that a slow baseline is fitted at


class Missing(Exception):
    """The package is not there, or has no such path; why."""


def scikit_learn(problem: Problem, options: Namespace) -> Path:
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


def celer(problem: Problem, options: Namespace) -> Path:
    """Follow the lasso's path by celer, which has no intercept: none is needed there."""
    if problem.classes:
        raise Missing("celer's classes have no intercept")
    try:
        from celer import celer_path
    except ImportError:
        raise Missing("celer is not installed: pip install celer") from None
    inputs = np.asfortranarray(problem.inputs)
    alphas = problem.strengths / 2
    celer_path(inputs[:, :2], problem.targets, "lasso", alphas=alphas[:2])  # compiles
    started = time.perf_counter()
    _, found, _ = celer_path(inputs, problem.targets, "lasso", alphas=alphas, tol=1e-7)
    seconds = time.perf_counter() - started
    return _path(problem, seconds, {place: (found[:, place], 0.0) for place in range(STRENGTHS)})


def adelie(problem: Problem, options: Namespace) -> Path:
    """Follow the path by adelie in a Python of its own."""
    if options.adelie is None:
        raise Missing("adelie needs an environment of its own: --adelie PYTHON")
    with tempfile.TemporaryDirectory() as folder:
        file = File(folder) / "problem.npz"
        np.savez(
            file,
            inputs=problem.inputs,
            targets=problem.targets,
            strengths=problem.strengths,
            classes=problem.classes,
            places=np.arange(EVERY - 1, STRENGTHS, EVERY),
        )
        script = File(__file__).with_name("adelie_path.py")
        done = subprocess.run(
            [options.adelie, script, file], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise Missing(f"adelie failed: {done.stderr.strip().splitlines()[-1:]}")
    told = json.loads(done.stdout)
    found = {
        int(place): (np.array(weights), intercept)
        for place, (weights, intercept) in told["found"].items()
    }
    return _path(problem, told["seconds"], found)


def _path(problem: Problem, seconds: float, found: dict[int, tuple[Floats, float]]) -> Path:
    values = {
        place: problem.objective(weights, intercept, float(problem.strengths[place]))
        for place, (weights, intercept) in found.items()
    }
    return Path(seconds, values)


YARDSTICKS: dict[str, Callable[[Problem, Namespace], Path]] = {
    "scikit-learn": scikit_learn,
    "celer": celer,
    "adelie": adelie,
}
