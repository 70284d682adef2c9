"""RidgewayClassifier and RidgewayRegressor."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportConstantRedefinition=false
# scikit-learn ships no types, and X is its name for a table.

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import optuna
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage] - public only by name
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from ridgeway.client.pictures import Picture
from ridgeway.data.tables import Table
from ridgeway.errors import InvalidInput, JobFailed, RidgewayError
from ridgeway.local.job import Finished, Rows, run
from ridgeway.local.working import Crew
from ridgeway.model.model import Model, read_model
from ridgeway.sklearn import rows
from ridgeway.sklearn.fields import as_value_error, spec_fields
from ridgeway.sklearn.results import best_params, cv_results
from ridgeway.sklearn.rows import Array, Given, JobRows, RidgewayWarning
from ridgeway.spec.spec import JobSpec

SEEDS = 2**32  # of a spec
FEWEST_ROWS = 5  # two folds of two rows, and a sealed one


class _Estimator(BaseEstimator):
    """What both have in common: a job as `fit`, and its answer."""

    n_features_in_: int

    def __init__(
        self,
        model: str | Mapping[str, Any] = "linear",
        *,
        penalties: Any = None,
        n_trials: int = 100,
        cv: Any = 5,
        objective: str = "loss",
        test_fraction: float = 0.2,
        timeout: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        device: str = "auto",
        data_dir: str | Path | None = None,
        verbose: int = 0,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.penalties = penalties
        self.n_trials = n_trials
        self.cv = cv
        self.objective = objective
        self.test_fraction = test_fraction
        self.timeout = timeout
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        self.data_dir = data_dir
        self.verbose = verbose
        self.spec = spec

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True  # they are part of the model's preparation
        return tags

    # --- fit ----------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:  # noqa: N803
        """Search, answer and keep the recommended model, refitted on all but the sealed rows.

        X (n, d): an array, or a frame with numbers, texts, categories and gaps. y (n,). groups
        (n,): rows of one group stay in one split. ValueError for what can't be searched, JobFailed
        with the job's own words where it ends without an answer.
        """
        X = self._inputs(X, reset=True)  # noqa: N806
        given = Given(
            target=rows.checked_target(y, X, classes=isinstance(self, ClassifierMixin)),
            weights=_weights(sample_weight, X),
            groups=_groups(groups, X),
        )
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(self.n_features_in_)])
        try:
            table, given = rows.weighing_rows(rows.table_of(X, names), given)
            job = self._job_rows(table, given, rows.target_name(y))
            self._keep(self._run(job))
        except InvalidInput as error:
            raise as_value_error(error) from error
        return self

    def _job_rows(self, table: Table, given: Given, name: str) -> JobRows:
        return rows.job_rows(table, given, name)

    def _run(self, job: JobRows) -> Finished:
        seed, folder = self._seed(), self.data_dir
        columns = {"target": job.target, "weights": job.weights, "groups": job.groups}
        task = "classification" if isinstance(self, ClassifierMixin) else "regression"
        fields = spec_fields(self.get_params(deep=False), seed) | columns | {"task": task}
        crew = Crew(_processes(self.n_jobs), self.device, bool(self.verbose))
        name = type(self).__name__
        return run(
            Rows(name, job.table, typed=True),
            fields,
            crew,
            None if folder is None else Path(folder),
        )

    def _seed(self) -> int:
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(SEEDS, dtype=np.int64))

    def _keep(self, finished: Finished) -> None:
        """Keep the answer; warn of what its owner should know."""
        job, recommended = finished.job, finished.job.recommended
        assert recommended is not None
        assert isinstance(job.spec, JobSpec)
        notes = list(job.warnings)
        if finished.model is None:
            raise JobFailed(" ".join(["The recommended model diverged in its refit.", *notes]))
        self._finished = finished
        self.job_ = job
        self.model_: Model = read_model(finished.model)
        self.verdict_ = recommended.verdict
        self.checks_ = recommended.checks
        self.best_params_ = best_params(recommended)
        self.cv_results_ = cv_results(finished.trials, job.spec.maximise)
        self.path_ = finished.path
        self.features_ = finished.features
        if recommended.choice == "baseline" and recommended.verdict is not None:
            notes.append(recommended.verdict.sentence)
        for note in notes:
            warnings.warn(note, RidgewayWarning, stacklevel=3)

    # --- what came of it ----------------------------------------------------------------------

    @property
    def coef_(self) -> npt.NDArray[np.float64]:
        """Coefficients in X's units, one for each of `model_.encoded_names_`; of linear models."""
        return self._fitted("coef_").coef_

    @property
    def intercept_(self) -> Any:
        """What is added to `x @ coef_`; of linear models."""
        return self._fitted("intercept_").intercept_

    @property
    def study_(self) -> optuna.Study:
        """The search's trials as an Optuna study in memory, made anew each time."""
        self._fitted("study_")
        return self._finished.study()

    def report(self, path: str | Path) -> None:
        """Write the job's report to this path: one HTML page that needs no other file."""
        check_is_fitted(self, "model_")
        page = self._finished.report()
        if page is None:
            raise RidgewayError("Nothing here makes reports: pip install 'ridgeway[local]'.")
        Path(path).write_text(page, encoding="utf-8")

    def plot(self, name: str) -> Picture:
        """Draw a plot of the job by its name in docs/plots.md; notebooks show it, `save` keeps it.

        ValueError for other names, NotFound where the job has nothing of the kind.
        """
        check_is_fitted(self, "model_")
        try:
            return self._finished.plot(name)
        except InvalidInput as error:
            raise as_value_error(error) from error

    def _fitted(self, name: str) -> Model:
        if not hasattr(self, "model_"):
            raise AttributeError(f"{type(self).__name__} has no {name} before fit.")
        return self.model_

    # --- pieces -------------------------------------------------------------------------------

    def _inputs(self, X: Any, *, reset: bool) -> Any:  # noqa: N803
        """Return X as it is if it is a frame, else as numbers (n, d); ValueError for others."""
        if not rows.is_frame(X):
            return validate_data(
                self,
                X,
                reset=reset,
                dtype=np.float64,
                ensure_all_finite="allow-nan",
                ensure_min_samples=FEWEST_ROWS if reset else 1,
            )
        validate_data(self, X, reset=reset, skip_check_array=True)
        least = (FEWEST_ROWS if reset else 1, 1)
        for count, needed, what in zip(X.shape, least, ("sample", "feature"), strict=True):
            if count < needed:
                message = f"Found a table with {count} {what}(s) (shape={X.shape}) while"
                raise ValueError(f"{message} a minimum of {needed} is required.")
        return X

    def _rows(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self, "model_")
        X = self._inputs(X, reset=False)  # noqa: N806
        return rows.as_rows(X) if rows.is_frame(X) else X


class RidgewayClassifier(ClassifierMixin, _Estimator):
    """A classifier whose `fit` is a whole search for penalty and strength, with its evidence.

    Parameters are those of docs/python.md; `spec` takes every other field of docs/jobs.md.
    """

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the most probable class of each row (n,)."""
        check_is_fitted(self, "model_")
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class (n, k), in the order of `classes_`."""
        X = self._rows(X)  # noqa: N806
        try:
            own = self.model_.predict_proba(X)
        except InvalidInput as error:
            raise as_value_error(error) from error
        shares = np.zeros((len(own), len(self.classes_)))
        shares[:, self._places] = own
        return shares

    def _job_rows(self, table: Table, given: Given, name: str) -> JobRows:
        self.classes_, indices = np.unique(given.target, return_inverse=True)
        rare = rows.rare_classes(self.classes_, indices, self.test_fraction)
        labels = rows.labels_of(self.classes_)
        given = Given(indices, given.weights, given.groups)
        if len(rare):
            kept = ~np.isin(self.classes_, rare)[indices]
            table, given = table.filter(kept), given.where(kept)
        made = rows.job_rows(table, given, name, labels)
        self._labels = made.labels
        return made

    def _keep(self, finished: Finished) -> None:
        super()._keep(finished)
        written = [str(label) for label in self.model_.classes_.tolist()]
        self._places = [self._labels.index(label) for label in written]


class RidgewayRegressor(RegressorMixin, _Estimator):
    """A regressor whose `fit` is a whole search for penalty and strength, with its evidence.

    Parameters are those of docs/python.md; `spec` takes every other field of docs/jobs.md.
    """

    def __init__(
        self,
        model: str | Mapping[str, Any] = "linear",
        *,
        loss: str | Mapping[str, Any] | None = None,
        penalties: Any = None,
        n_trials: int = 100,
        cv: Any = 5,
        objective: str = "loss",
        test_fraction: float = 0.2,
        timeout: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
        device: str = "auto",
        data_dir: str | Path | None = None,
        verbose: int = 0,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            model,
            penalties=penalties,
            n_trials=n_trials,
            cv=cv,
            objective=objective,
            test_fraction=test_fraction,
            timeout=timeout,
            random_state=random_state,
            n_jobs=n_jobs,
            device=device,
            data_dir=data_dir,
            verbose=verbose,
            spec=spec,
        )
        self.loss = loss

    def predict(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the target of each row (n,)."""
        X = self._rows(X)  # noqa: N806
        try:
            return self.model_.predict(X)
        except InvalidInput as error:
            raise as_value_error(error) from error


def _weights(sample_weight: Any, X: Any) -> Array | None:  # noqa: N803
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


def _groups(groups: Any, X: Any) -> Array | None:  # noqa: N803
    if groups is None:
        return None
    made = column_or_1d(groups)
    check_consistent_length(X, made)
    return made


def _processes(n_jobs: int | None) -> int:
    """Return how many processes work; InvalidInput for what is no number of them."""
    if n_jobs is None:
        return 1
    if not isinstance(n_jobs, numbers.Integral) or (n_jobs < 1 and n_jobs != -1):
        raise InvalidInput.of("n_jobs", n_jobs, "must be a whole number of processes, or -1: cores")
    return int(n_jobs)
