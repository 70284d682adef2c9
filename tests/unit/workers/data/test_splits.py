"""Splits come from the seed alone: disjoint, covering, stratified, and no group straddles two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.splits import Splits, split

HOLDOUT = {"kind": "holdout", "fraction": 0.25}


def spec(**fields: Any) -> JobSpec:
    return parse_spec({"dataset": "d", "groups": "g", **fields})


def classes_of(labels: np.ndarray) -> tuple[str, ...]:
    return tuple(str(label) for label in range(labels.max() + 1))


def split_classes(labels: np.ndarray, groups: np.ndarray | None = None, **fields: Any) -> Splits:
    return split(spec(**fields), labels, classes_of(labels), groups)


def check_partition(splits: Splits, rows: int, folds: int) -> None:
    """Check that each row is sealed or judged by one fold, and none trains on what it judges."""
    assert sorted([*splits.development, *splits.test]) == list(range(rows))
    assert len(splits.folds) == folds
    for train, valid in splits.folds:
        assert sorted([*train, *valid]) == splits.development.tolist()
        assert len(train)
        assert len(valid)
    if folds > 1:
        judged = np.concatenate([valid for _, valid in splits.folds])
        assert sorted(judged) == splits.development.tolist()
    assert len(splits.test)


LABELS = np.repeat([0, 1, 2], [50, 30, 20])


@pytest.mark.parametrize(("validation", "folds"), [({"folds": 4}, 4), (HOLDOUT, 1)])
def test_every_part_has_its_share_of_every_class(validation: Any, folds: int) -> None:
    splits = split_classes(LABELS, validation=validation)
    check_partition(splits, 100, folds)
    assert np.bincount(LABELS[splits.test]).tolist() == [10, 6, 4]
    for _, valid in splits.folds:
        assert np.bincount(LABELS[valid]).tolist() == [10, 6, 4]


def test_the_same_seed_gives_the_same_splits_and_another_seed_others() -> None:
    def parts(seed: int) -> str:
        splits = split_classes(LABELS, seed=seed)
        return str([splits.test.tolist(), [valid.tolist() for _, valid in splits.folds]])

    assert parts(1) == parts(1)
    assert parts(1) != parts(2)


@pytest.mark.parametrize("groups", [None, np.arange(90) // 3])
@pytest.mark.parametrize("validation", [{"folds": 3}, HOLDOUT])
def test_a_regressions_target_plays_no_part(groups: np.ndarray | None, validation: Any) -> None:
    y = np.random.default_rng(0).normal(size=90)
    one = split(spec(validation=validation), y, (), groups)
    other = split(spec(validation=validation), 1000 * y + 7, (), groups)
    check_partition(one, 90, len(one.folds))
    assert one.test.tolist() == other.test.tolist()
    assert str(one.folds) == str(other.folds)


@given(
    st.lists(st.integers(0, 15), min_size=40, max_size=120),
    st.booleans(),
    st.sampled_from([{"folds": 2}, {"folds": 4}, HOLDOUT]),
    st.floats(0.01, 0.9),
    st.integers(0, 2**32 - 1),
)
def test_no_group_straddles_two_parts(
    groups: list[int], classified: bool, validation: Any, fraction: float, seed: int
) -> None:
    named = np.array([*range(16), *groups])
    # Every class in every group, so that there is always a way.
    named = np.repeat(named, 2)
    labels = np.arange(len(named)) % 2
    job = spec(validation=validation, test_fraction=fraction, seed=seed)
    if classified:
        splits = split(job, labels, ("0", "1"), named)
    else:
        splits = split(job, labels.astype(float), (), named)
    check_partition(splits, len(named), validation.get("folds", 1))
    for left, right in [(splits.development, splits.test), *splits.folds]:
        assert not np.intersect1d(named[left], named[right]).size


def test_a_held_out_part_of_groups_keeps_to_rows_and_classes() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), rng.integers(1, 20, size=60))
    labels = (rng.random(60) < 0.3).astype(int)[groups]  # a class for each group
    splits = split_classes(labels, groups, test_fraction=0.25)
    assert len(splits.test) / len(labels) == pytest.approx(0.25, abs=0.03)
    assert labels[splits.test].mean() == pytest.approx(labels.mean(), abs=0.05)


def test_a_class_in_one_group_alone_is_refused() -> None:
    labels = np.array([0, 1] * 45 + [2] * 10)
    groups = np.array([*(np.arange(90) // 5), *[18] * 10])
    with pytest.raises(JobUnrunnable, match=r"no row of class '2'.* too few groups"):
        split_classes(labels, groups)


def test_roc_auc_needs_both_classes_in_every_part_that_judges() -> None:
    labels = np.array([0] * 80 + [1] * 20)
    groups = np.arange(100) // 10
    assert len(split_classes(labels, groups, validation={"folds": 3}).folds) == 3
    with pytest.raises(JobUnrunnable, match=r"validation rows|sealed test set"):
        split_classes(labels, groups, validation={"folds": 3}, objective="roc_auc")


@pytest.mark.parametrize("groups", [None, np.arange(100) % 25])
def test_repeats_are_further_partitions_behind_the_first(groups: np.ndarray | None) -> None:
    once = split_classes(LABELS, groups, validation={"folds": 4}, seed=3)
    thrice = split_classes(LABELS, groups, validation={"folds": 4, "repeats": 3}, seed=3)
    assert thrice.test.tolist() == once.test.tolist()
    assert str(thrice.folds[:4]) == str(once.folds)
    for first in (0, 4, 8):
        partition = thrice.folds[first : first + 4]
        check_partition(Splits(thrice.development, thrice.test, partition), 100, 4)
    judged = {tuple(valid) for _, valid in thrice.folds}
    assert len(judged) == 12
