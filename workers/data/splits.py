"""Decide which rows are sealed, train or judge, by seed, classes and groups, or by an order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.names import OBJECTIVE_ROWS
from ridgeway.spec.profiles import held_out
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import ForwardValidation, HoldoutValidation
from workers.data.forward import forward_parts
from workers.data.seeds import derived_seed

Ints = npt.NDArray[np.int64]
Positions = npt.NDArray[np.intp]

DRAWS = 100  # of groups for a held-out part; the most representative is taken
HOLDOUTS = 5  # that a job with one holdout is confirmed on at a time
DRAWN_GROUPS = 2_000_000  # groups shuffled in all those draws together


@dataclass(frozen=True)
class Splits:
    """Positions of rows, each array in ascending order."""

    development: Positions
    test: Positions
    folds: tuple[tuple[Positions, Positions], ...]  # (train, valid), both of the development rows


def split(
    spec: JobSpec,
    targets: npt.NDArray[np.generic],
    classes: tuple[str, ...],
    groups: Ints | None,
    order: Ints | None = None,
) -> Splits:
    """Seal the test set, then fold the rest; JobUnrunnable where a part would lack a class.

    targets (rows,) are class indices where there are classes; else their values play no part.
    groups (rows,) stay whole. order (rows,): places of rows, for folds that go forward.
    """
    # A regression is stratified as if it were one class.
    labels = targets.astype(np.int64) if classes else np.zeros(len(targets), np.int64)
    if isinstance(spec.validation, ForwardValidation):
        assert order is not None
        development, test, parts = forward_parts(order, spec.test_fraction, spec.folds)
        splits = Splits(development, test, tuple(parts))
    else:
        splits = _drawn(spec, labels, groups)
    if groups is not None or order is not None:
        _check_classes(spec, labels, classes, splits)
    return splits


def _drawn(spec: JobSpec, labels: Ints, groups: Ints | None) -> Splits:
    """Draw the test set, then folds or a holdout of the rest."""
    rng = np.random.default_rng(spec.seed)
    validation = spec.validation
    assert not isinstance(validation, ForwardValidation)
    development, test = _hold_out(labels, groups, spec.test_fraction, validation.parts, rng)
    labels_left = labels[development]
    groups_left = None if groups is None else groups[development]
    if isinstance(validation, HoldoutValidation):
        parts = [_hold_out(labels_left, groups_left, validation.fraction, 1, rng)]
    else:
        parts = [
            part
            for repeat in range(validation.repeats)
            for part in _fold(
                labels_left, groups_left, validation.folds, _seed_of(repeat, spec.seed)
            )
        ]
    folds = tuple((development[train], development[valid]) for train, valid in parts)
    return Splits(development, test, folds)


def resplit(
    spec: JobSpec, splits: Splits, labels: Ints, groups: Ints | None, seed: int
) -> tuple[tuple[Positions, Positions], ...]:
    """Split the development rows anew, by another seed: as many folds, or some holdouts.

    Folds that go forward stay as they are: there is one order. labels (rows,): class indices, zeros
    for a regression. JobUnrunnable where groups, or weights of 0, leave a part without a class.
    """
    if isinstance(spec.validation, ForwardValidation):
        return splits.folds
    development = splits.development
    labels_left = labels[development]
    groups_left = None if groups is None else groups[development]
    if isinstance(spec.validation, HoldoutValidation):
        rng, fraction = np.random.default_rng(seed), spec.validation.fraction
        parts = [_hold_out(labels_left, groups_left, fraction, 1, rng) for _ in range(HOLDOUTS)]
    else:
        parts = _fold(labels_left, groups_left, spec.validation.folds, seed)
    folds = tuple((development[train], development[valid]) for train, valid in parts)
    for train, valid in folds:
        if (groups is not None or spec.weights is not None) and (
            not len(valid) or len(np.setdiff1d(labels[development], labels[train]))
        ):
            raise JobUnrunnable("Groups or weights hold a class together in these splits.")
    return folds


def halves(
    rows: Positions, labels: Ints, groups: Ints | None, seed: int
) -> tuple[Positions, Positions] | None:
    """Part rows at random in two halves that both have each class; None where they don't.

    labels (all rows,): class indices, zeros for a regression. Without groups the rows of a class
    are dealt to both halves in turn, so that their sizes differ by one at most.
    """
    rng = np.random.default_rng(seed)
    if groups is None:
        shuffled = rng.permutation(rows)
        dealt = shuffled[np.argsort(labels[shuffled], kind="stable")]
        one, other = dealt[::2], dealt[1::2]
    else:
        drawn = rng.permutation(np.unique(groups[rows]))
        is_one = np.isin(groups[rows], drawn[: len(drawn) // 2])
        one, other = rows[is_one], rows[~is_one]
    there = np.unique(labels[rows])
    if any(len(np.setdiff1d(there, labels[half])) for half in (one, other)):
        return None
    return np.sort(one), np.sort(other)


def _hold_out(
    labels: Ints, groups: Ints | None, fraction: float, stay: int, rng: np.random.Generator
) -> tuple[Positions, Positions]:
    """Return the rows that stay and the rows held out; at least `stay` groups stay."""
    if groups is None:
        held = [
            _some_of(np.flatnonzero(labels == label), fraction, rng) for label in np.unique(labels)
        ]
        out = np.zeros(len(labels), bool)
        out[np.concatenate(held)] = True
    else:
        out = _groups_held_out(labels, groups, fraction, stay, rng)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _some_of(rows: Positions, fraction: float, rng: np.random.Generator) -> Positions:
    return rng.permutation(rows)[: held_out(len(rows), fraction)]


def _groups_held_out(
    labels: Ints, groups: Ints, fraction: float, stay: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Hold out whole groups (rows,): of many draws that whose classes come nearest the fraction."""
    names, group_of_row = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))  # (groups, classes)
    np.add.at(counts, (group_of_row, labels), 1)
    sizes, of_class = counts.sum(axis=1), counts.sum(axis=0)
    best, best_distance = np.zeros(len(names), bool), np.inf
    for _ in range(max(1, min(DRAWS, DRAWN_GROUPS // len(names)))):
        order = rng.permutation(len(names))
        filled = np.abs(np.cumsum(sizes[order]) - fraction * sizes.sum())
        # 1 to len - stay groups, as many as bring the rows nearest to the fraction.
        taken = order[: 1 + int(np.argmin(filled[: max(1, len(names) - stay)]))]
        held = counts[taken].sum(axis=0)
        distance = float(np.abs(held - fraction * of_class).sum())
        distance += len(labels) * int(((held == of_class) & (of_class > 0)).sum())
        if distance < best_distance:
            best, best_distance = np.zeros(len(names), bool), distance
            best[taken] = True
    return best[group_of_row]


def _seed_of(repeat: int, seed: int) -> int:
    """Return the seed of a partition, in scikit-learn's 32 bits; the first one's is the job's."""
    return derived_seed(seed, "repeat", repeat) % 2**32 if repeat else seed


def _fold(
    labels: Ints, groups: Ints | None, folds: int, seed: int
) -> list[tuple[Positions, Positions]]:
    """Split into folds by scikit-learn, stratified where there are classes, groups whole."""
    stratified = len(np.unique(labels)) > 1
    if groups is None:
        kind = StratifiedKFold if stratified else KFold
    else:
        kind = StratifiedGroupKFold if stratified else GroupKFold
    splitter = kind(n_splits=folds, shuffle=True, random_state=seed)
    try:
        return list(splitter.split(labels, labels, groups))
    except ValueError as error:
        raise JobUnrunnable(f"The rows can't be split into {folds} folds: {error}") from None


def _check_classes(spec: JobSpec, labels: Ints, classes: tuple[str, ...], splits: Splits) -> None:
    """Refuse a training part without some class; for some objectives a judging part too."""
    folds = list(enumerate(splits.folds, 1))
    if isinstance(spec.validation, ForwardValidation):
        how = f"In the order of '{spec.validation.by}'"
        why = "its rows lie elsewhere in that order. Use fewer folds, or folds that are drawn."
    else:
        how = f"With groups '{spec.groups}'"
        why = "its rows are in too few groups. Use fewer folds, another seed, or no groups."
    parts = [(f"training rows of fold {index}", train) for index, (train, _) in folds]
    if OBJECTIVE_ROWS[spec.objective].every_class:
        parts += [(f"validation rows of fold {index}", valid) for index, (_, valid) in folds]
        parts.append(("sealed test set", splits.test))
    for name, rows in parts:
        absent = np.setdiff1d(np.arange(len(classes)), labels[rows])
        if len(absent):
            message = f"{how} the {name} would hold no row of class '{classes[absent[0]]}': {why}"
            raise JobUnrunnable(message)
    for index, (_, valid) in folds:
        if not len(valid):
            raise JobUnrunnable(f"{how} fold {index} would be empty; use fewer folds")
