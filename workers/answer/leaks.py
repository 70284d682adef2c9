"""How well one source column alone predicts the target, which betrays a leak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from workers.data.matrix import Matrix
from workers.data.prepare import Prepared
from workers.data.splits import Positions

Floats = npt.NDArray[np.float64]

FEWEST_ROWS = 50  # below it, one of many columns predicts by chance
FEWEST_OF_A_CLASS = 10  # below it, an area under the curve says little
MOST_ROWS = 5_000
MOST_CELLS = 4_000_000  # values looked at, all columns together
MOST_COLUMNS = 20_000  # that are screened
TRIED = 40  # number columns that pass the screen, and as many categories
BINS = 16
LEAVES = 32
FOLDS = 5
EXPLAINED = 0.99  # R² beyond it is suspect
TOLD_APART = 0.995  # accuracy or area under the curve beyond it is suspect
LEFT_OF_CONSTANT = 0.1  # and the share of the constant's errors that is left


@dataclass(frozen=True)
class Leak:
    """A source column that alone predicts the target, and how well: R², accuracy or area."""

    column: str
    score: float
    measure: str


def leaks(prepared: Prepared) -> list[Leak]:
    """Return the columns of which one alone predicts nearly everything, the best first.

    Development rows only: at most 5,000 of them, and fewer where there are over 800 columns. Number
    columns are first screened by means of the target over 16 bins of their ranks; the 40 best, and
    40 categories, are judged by cross-validation: a line or a tree for numbers, a level's mean for
    categories.
    """
    rows = sampled_rows(prepared)
    labels = prepared.encoded.targets[rows]
    if len(rows) < FEWEST_ROWS or (labels == labels[0]).all():
        return []
    target = _Target.of(labels)
    judged = [target.judge(*column) for column in _tried(prepared, rows, target)]
    found = [leak for leak in judged if leak is not None]
    return sorted(found, key=lambda leak: -leak.score)


def sampled_rows(prepared: Prepared) -> Positions:
    """Return development rows, evenly spaced where there are too many to look at all."""
    development = prepared.splits.development
    most = min(MOST_ROWS, max(300, MOST_CELLS // max(1, prepared.inputs)))
    if len(development) <= most:
        return development
    return development[np.linspace(0, len(development) - 1, most).astype(np.intp)]


@dataclass(frozen=True)
class _Target:
    """The sampled rows' target, and the fold of each row."""

    labels: npt.NDArray[Any]  # (n,) class index, or standardised number
    shares: Floats  # (n, classes) 1 where the row is of the class; (n, 1) the number
    folds: npt.NDArray[np.int64]  # (n,)

    @classmethod
    def of(cls, labels: npt.NDArray[Any]) -> _Target:
        rows = len(labels)
        # Rows in the target's order take turns, so every fold has its share of each class.
        order = np.lexsort((np.random.default_rng(0).random(rows), labels))
        folds = np.empty(rows, np.int64)
        folds[order] = np.arange(rows) % FOLDS
        if labels.dtype == np.float64:
            scaled = labels / np.abs(labels).max()  # no square overflows or vanishes
            scaled = (scaled - scaled.mean()) / max(float(scaled.std()), 1e-300)
            return cls(scaled, scaled[:, None], folds)
        labels = np.unique(labels, return_inverse=True)[1]
        return cls(labels, np.eye(int(labels.max()) + 1)[labels], folds)

    @property
    def is_number(self) -> bool:
        return self.labels.dtype == np.float64

    def judge(self, values: Floats, name: str, is_level: bool) -> Leak | None:
        """Return the leak that a column is, if it is one; values (n,) are its numbers or levels."""
        ranks = np.unique(values, return_inverse=True)[1]  # exact, whatever the numbers' size
        if ranks.max() == 0:
            return None
        if is_level:
            predicted = [self._by_level(ranks)]
        else:
            predicted = [self._by_tree(ranks)]
            if self.is_number:
                predicted.append(self._by_line(values))
        judged = [self._scored(each, name) for each in predicted]
        return max((leak for leak in judged if leak), key=lambda leak: leak.score, default=None)

    def _scored(self, predicted: Floats, name: str) -> Leak | None:
        if self.is_number:
            left = float(((self.labels - predicted[:, 0]) ** 2).sum())
            score = 1 - left / float((self.labels**2).sum())
            return Leak(name, score, "R²") if score > EXPLAINED else None
        counts = self.shares.sum(0)
        accuracy = float((predicted.argmax(1) == self.labels).mean())
        errors, constant = 1 - accuracy, 1 - float(counts.max()) / len(self.labels)
        if accuracy > TOLD_APART and errors <= LEFT_OF_CONSTANT * constant:
            return Leak(name, accuracy, "share of hits")
        if len(counts) == 2 and counts.min() >= FEWEST_OF_A_CLASS:
            area = float(roc_auc_score(self.labels, predicted[:, 1]))
            return Leak(name, area, "area under the curve") if area > TOLD_APART else None
        return None

    def _splits(self) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
        yield from ((self.folds != fold, self.folds == fold) for fold in range(FOLDS))

    def _by_tree(self, ranks: npt.NDArray[np.intp]) -> Floats:
        predicted = np.zeros_like(self.shares)
        kind = DecisionTreeRegressor if self.is_number else DecisionTreeClassifier
        leaves = max(LEAVES, 2 * self.shares.shape[1])
        inputs = ranks[:, None].astype(np.float32)
        for train, valid in self._splits():
            tree = kind(max_leaf_nodes=leaves, min_samples_leaf=3, random_state=0)
            tree.fit(inputs[train], self.labels[train])
            if isinstance(tree, DecisionTreeRegressor):
                predicted[valid, 0] = tree.predict(inputs[valid])
            else:
                classes = np.asarray(tree.classes_, np.intp)
                predicted[np.ix_(valid, classes)] = tree.predict_proba(inputs[valid])
        return predicted

    def _by_level(self, ranks: npt.NDArray[np.intp]) -> Floats:
        """Predict the mean of a row's level, or of all rows where training rows lack the level."""
        predicted = np.zeros_like(self.shares)
        for train, valid in self._splits():
            sums = np.zeros((int(ranks.max()) + 1, self.shares.shape[1]))
            np.add.at(sums, ranks[train], self.shares[train])
            counts = np.bincount(ranks[train], minlength=len(sums))[:, None]
            overall = self.shares[train].mean(0)
            means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
            predicted[valid] = means[ranks[valid]]
        return predicted

    def _by_line(self, values: Floats) -> Floats:
        """Predict by the least squares line; a missing number is the mean of the others."""
        predicted = np.zeros_like(self.shares)
        missing = np.isnan(values)
        scaled = np.where(missing, 0.0, values)
        scaled = scaled / max(float(np.abs(scaled).max()), 1e-300)
        for train, valid in self._splits():
            known = train & ~missing
            mean = float(scaled[known].mean()) if known.any() else 0.0
            away = np.where(missing, 0.0, scaled - mean)
            spread = float((away[train] ** 2).sum())
            slope = float(away[train] @ self.labels[train]) / spread if spread > 0 else 0.0
            predicted[valid, 0] = self.labels[train].mean() + slope * away[valid]
        return predicted


def _tried(
    prepared: Prepared, rows: Positions, target: _Target
) -> Iterator[tuple[Floats, str, bool]]:
    """Yield columns worth a closer look: values (n,), the source column, whether of levels."""
    encoding = prepared.encoded.encoding
    pairs = list(zip(encoding.names, encoding.sources, strict=True))
    numbers = np.array([at for at, (name, source) in enumerate(pairs) if name == source], np.intp)
    if len(numbers) > MOST_COLUMNS:
        numbers = numbers[np.linspace(0, len(numbers) - 1, MOST_COLUMNS).astype(np.intp)]
    held = {pairs[at][1] for at in numbers.tolist()}
    if len(numbers) > TRIED:
        best = np.argsort(-_screened(encoding.values, rows, numbers, target), kind="stable")
        numbers = numbers[best[:TRIED]]
    for at in numbers.tolist():
        yield encoding.values[rows, at], pairs[at][1], False
    levels: dict[str, list[int]] = {}
    for at, (name, source) in enumerate(pairs):
        if name != source and source not in held:
            levels.setdefault(source, []).append(at)
    for source in list(levels)[:TRIED]:
        yield _level_codes(encoding.values, rows, levels[source]), source, True


def _level_codes(values: Floats | Matrix, rows: Positions, columns: list[int]) -> Floats:
    """Return which of a category's columns each row has, as a number."""
    return values[rows[:, None], np.array(columns)].argmax(1).astype(np.float64)


def _screened(
    values: Floats | Matrix, rows: Positions, columns: Positions, target: _Target
) -> Floats:
    """Return the share of the target's variance between 16 bins of each column's ranks."""
    starts = np.arange(BINS) * len(rows) // BINS
    sizes = np.diff(np.append(starts, len(rows)))[:, None]
    shares = target.shares - target.shares.mean(0)
    between = np.zeros(len(columns))
    for start in range(0, len(columns), 256):
        part = columns[start : start + 256]
        order = np.argsort(values[np.ix_(rows, part)], axis=0, kind="stable")
        for share in shares.T:
            sums = np.add.reduceat(share[order], starts, axis=0)  # (BINS, part)
            between[start : start + 256] += (sums**2 / sizes).sum(0)
    return between
