"""Rows as scikit-learn has them, made the table of a job: X, y, weights and groups as columns."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportConstantRedefinition=false
# Neither scikit-learn nor pyarrow ships types, and X is scikit-learn's name for a table.

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from ridgeway.data.notes import notes_of, with_notes
from ridgeway.data.settling import settled_table
from ridgeway.data.tables import LARGEST_EXACT, MAX_NAME, Table, canonical_columns, canonical_table
from ridgeway.spec.profiles import held_out, label_of

Array = npt.NDArray[Any]
FEWEST_OF_A_CLASS = 2  # rows beside the sealed test set: one to train on, one to judge by


class RidgewayWarning(UserWarning):
    """What the user of an estimator should know of its job."""


@dataclass(frozen=True)
class JobRows:
    """A job's table, the names of its columns that are no inputs, and the classes as labels.

    labels: how the table writes each class, in the order of classes; () of a regression.
    """

    table: Table
    target: str
    weights: str | None = None
    groups: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What `fit` was given beside X; weights and groups (n,) where there are some."""

    target: Array
    weights: Array | None = None
    groups: Array | None = None

    def where(self, kept: npt.NDArray[np.bool_]) -> Given:
        """Return the same of these rows alone."""
        weights, groups = self.weights, self.groups
        return Given(
            self.target[kept],
            None if weights is None else weights[kept],
            None if groups is None else groups[kept],
        )


# --- X ------------------------------------------------------------------------------------------


def is_frame(X: Any) -> bool:  # noqa: N803 - scikit-learn's name
    """Return True for tables with named columns of their own types: pandas, polars, pyarrow."""
    return hasattr(X, "__arrow_c_stream__") or (hasattr(X, "iloc") and hasattr(X, "columns"))


def as_rows(X: Any) -> Any:  # noqa: N803
    """Return a frame as a model takes it: pandas as it is, any other as an Arrow table."""
    if hasattr(X, "iloc") or isinstance(X, pa.Table):
        return X
    return pa.table(X)


def table_of(X: Any, names: Iterable[str]) -> Table:  # noqa: N803
    """Return X as a table; an array's columns get these names. ValueError where it is none."""
    if not is_frame(X):
        return pa.table({name: X[:, place] for place, name in enumerate(names)})
    try:
        if hasattr(X, "iloc"):
            return pa.Table.from_pandas(_plain(X), preserve_index=False)
        return as_rows(X)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"X is no table of numbers and texts: {error}") from None


def _plain(frame: Any) -> Any:
    """Return a pandas frame whose names are texts, and whose categories of numbers are, too."""
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    marked = {
        name: frame[name].cat.rename_categories([label_of(each) for each in own.categories])
        for name, own in frame.dtypes.items()
        if hasattr(own, "categories") and own.categories.dtype.kind in "iuf"
    }
    return frame.assign(**marked) if marked else frame


# --- y, weights and groups ------------------------------------------------------------------------


def checked_target(y: Any, X: Any, *, classes: bool) -> Array:  # noqa: N803
    """Return y (n,); ValueError where it is missing, not finite, or of another length than X."""
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    made: Array = column_or_1d(y, warn=True)
    check_consistent_length(X, made)
    if not classes:
        made = made.astype(np.float64)
    if made.dtype.kind in "fc":
        assert_all_finite(made, input_name="y")
    if classes:
        check_classification_targets(made)
    return made


def target_name(y: Any) -> str:
    """Return what y is called, where a data set's column may be called so; else "target"."""
    name = getattr(y, "name", None)
    told = "" if name is None else str(name)
    may_be = told.strip() and len(told) < MAX_NAME and "\x00" not in told
    return told if may_be else "target"


def weighing_rows(table: Table, given: Given) -> tuple[Table, Given]:
    """Return the rows that weigh something; their weights only where they differ.

    ValueError where none does.
    """
    if given.weights is None:
        return table, given
    kept = given.weights > 0
    if not kept.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    given = given.where(kept)
    assert given.weights is not None
    if np.ptp(given.weights) == 0:
        given = Given(given.target, None, given.groups)
    return table.filter(kept), given


def rare_classes(classes: Array, indices: Array, test_fraction: float) -> Array:
    """Return the classes of too few rows to be split at all; warn of them, as they are left out.

    ValueError where fewer than two would be left.
    """
    counts = np.bincount(indices, minlength=len(classes)).tolist()
    left = np.array([count - held_out(count, test_fraction) for count in counts])
    rare: Array = classes[left < FEWEST_OF_A_CLASS]
    if len(classes) - len(rare) < 2:
        if len(classes) < 2:
            raise ValueError("y has 1 class; a classifier needs rows of at least two classes.")
        raise ValueError(
            f"n_samples={len(indices)} are too few: a classifier needs at least two classes of 3 "
            f"rows each, to train on, to judge by and to seal; met {counts} rows of its classes."
        )
    if len(rare):
        shown = ", ".join(map(str, rare.tolist()[:10]))
        message = "have too few rows to be split, at least 3 are needed, and are left out"
        warnings.warn(f"The classes {shown} {message}.", RidgewayWarning, stacklevel=4)
    return rare


def labels_of(classes: Array) -> list[Any]:
    """Return how the job's table names each class: numbers as they are, else texts.

    Where texts don't keep the order, their places stand for them.
    """
    if classes.dtype.kind in "iuf" and np.abs(classes.astype(np.float64)).max() <= LARGEST_EXACT:
        return classes.tolist()
    if classes.dtype.kind == "b":
        return ["true" if each else "false" for each in classes.tolist()]
    texts = [str(each) for each in classes.tolist()]
    plain = all(0 < len(text) <= 200 and "\x00" not in text for text in texts)
    return texts if plain and texts == sorted(set(texts)) else list(range(len(texts)))


# --- all of it ------------------------------------------------------------------------------------


def job_rows(X: Table, given: Given, name: str, labels: Sequence[Any] = ()) -> JobRows:  # noqa: N803
    """Return X with the other columns beside it, in canonical form.

    name: of the target. labels: of the classes, whose places the target then holds.
    """
    taken, columns = set(X.column_names), {}

    def add(wanted: str, values: Any) -> str:
        while wanted in taken:
            wanted += "_"
        taken.add(wanted)
        columns[wanted] = values
        return wanted

    X = settled_table(canonical_columns(X))  # noqa: N806
    weights = None if given.weights is None else add("sample_weight", pa.array(given.weights))
    groups = None if given.groups is None else add("group", pa.array(_texts(given.groups)))
    target = given.target
    own = pa.array(labels).take(pa.array(target)) if labels else pa.array(target)
    target_name = add(name, own)  # last, as in other data sets
    for column, values in columns.items():
        X = X.append_column(column, values)  # noqa: N806
    texts = tuple(each if isinstance(each, str) else label_of(each) for each in labels)
    table = with_notes(canonical_table(X), notes_of(X))
    return JobRows(table, target_name, weights, groups, texts)


def _texts(groups: Array) -> list[str]:
    return [str(each) for each in groups.tolist()]
