"""Time RidgewayClassifier.fit next to scikit-learn's LogisticRegressionCV on the same rows.

    OMP_NUM_THREADS=1 python benchmarks/estimators.py [--json] [--repeats 5] [--trials 100]

Ours: `fit` on breast_cancer (569 x 30), which is a search over five penalties with its answer, in
this process, after one small fit has imported what there is to import. scikit-learn: ten strengths
of l1 and of l2 on five folds by saga, inputs standardised, which is a search alone, without a
confirmation, a path, halves or a sealed test set. Runs are interleaved; medians.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from rows import Row, median, parser
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ridgeway.sklearn import RidgewayClassifier


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=100)
    arguments = options.parse_args()
    x, y = load_breast_cancer(return_X_y=True)
    warnings.simplefilter(
        "ignore"
    )  # saga has not converged, and a search of one trial finds little
    RidgewayClassifier(n_trials=1, random_state=0).fit(x, y)
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for number in range(arguments.repeats):
        own = RidgewayClassifier(n_trials=arguments.trials, random_state=number)
        ours.append(timed(lambda own=own: own.fit(x, y)))
        cv = LogisticRegressionCV(
            Cs=10,
            cv=5,
            l1_ratios=(0.0, 1.0),
            solver="saga",
            scoring="neg_log_loss",
            max_iter=1000,
            use_legacy_attributes=False,
        )
        theirs.append(timed(lambda cv=cv: make_pipeline(StandardScaler(), cv).fit(x, y)))
    details = {"rows": len(x), "columns": x.shape[1], "trials": arguments.trials}
    for place, name in enumerate(("fit", "fit, processor time")):
        own, baseline = (median([run[place] for run in runs]) for runs in (ours, theirs))
        Row(name, own, "s", baseline, baseline / own, details).print(arguments.json)


def timed(fit: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that pass, and those of this process's processor time."""
    started, used = time.perf_counter(), time.process_time()
    fit()
    return time.perf_counter() - started, time.process_time() - used


if __name__ == "__main__":
    main()
