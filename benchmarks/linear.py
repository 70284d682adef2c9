"""Linear models along a path of 100 strengths, next to other packages at equal precision.

    OMP_NUM_THREADS=1 python benchmarks/linear.py [--repeats 3] [--shape "lasso 2000 x 500"]
        [--against celer] [--adelie PYTHON]

Seconds of one core for 100 strengths from the largest useful one down, each solved by itself as a
job's trials are, with the ladder that they start from; data are simulated but for diabetes and
breast_cancer. `excess` is the largest relative excess of the objective over the better of the two.
scikit-learn: `lasso_path`, and LogisticRegression by liblinear, warm starts being of no use to it,
at every tenth strength, times ten. celer (`pip install celer`): the lasso alone. adelie wants numpy
1: `--adelie` is the Python of an environment that has it. What took longer than ten seconds is not
repeated. The same as cross-validated jobs: benchmarks/linear_cv.py.
"""

from __future__ import annotations

import sys
import time
import warnings
from argparse import Namespace
from collections.abc import Sequence

import torch
from linear_problems import PROBLEMS, Path, Problem
from linear_yardsticks import YARDSTICKS, Missing
from rows import Row, median, parser

from workers.fullbatch.exact import ExactFold
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.kernels import load
from workers.penalties.components import Components

SLOW = 10.0  # seconds; what takes longer is measured once


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


def compared(name: str, problem: Problem, options: Namespace) -> None:
    """Print seconds next to each yardstick's; runs are interleaved."""
    own: list[Path] = []
    others: dict[str, list[Path]] = {}
    for _ in range(options.repeats):
        own.append(ours(problem))
        for yardstick in options.against or YARDSTICKS:
            runs = others.setdefault(yardstick, [])
            if runs and runs[0].seconds > SLOW:
                continue
            try:
                runs.append(YARDSTICKS[yardstick](problem, options))
            except Missing as missing:
                others[yardstick] = []
                if len(own) == 1:
                    print(f"{name}: {missing}", file=sys.stderr)
    for yardstick, runs in others.items():
        if runs:
            _row(name, yardstick, own, runs).print(options.json)


def _row(name: str, yardstick: str, own: Sequence[Path], others: Sequence[Path]) -> Row:
    value = median([each.seconds for each in own])
    baseline = median([each.seconds for each in others])
    pairs = [(own[0].objectives[place], theirs) for place, theirs in others[0].objectives.items()]
    excess = {
        "excess": max(a / min(a, b) - 1 for a, b in pairs),
        "excess_of_baseline": max(b / min(a, b) - 1 for a, b in pairs),
    }
    details = {key: f"{one:.1e}" for key, one in excess.items()}
    parameters = {"problem": name, "against": yardstick, **details}
    return Row("path_seconds", value, "s", baseline, baseline / value, parameters)


def main() -> int:
    """Print the rows of each shape."""
    arguments = parser(__doc__)
    arguments.add_argument("--shape", choices=PROBLEMS, help="this one alone")
    arguments.add_argument("--against", choices=YARDSTICKS, action="append", help="default: all")
    arguments.add_argument("--adelie", help="a Python that has adelie")
    given = arguments.parse_args()
    warnings.simplefilter("ignore")  # of strengths at which a baseline has not converged
    torch.set_num_threads(1)
    for name, make in PROBLEMS.items():
        if given.shape in (None, name):
            compared(name, make(), given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
