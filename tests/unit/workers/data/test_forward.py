"""Forward folds: what judges comes after what trains, and rows of one value stay together."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from ridgeway.data.tables import profile_table
from ridgeway.errors import InvalidInput, JobUnrunnable
from ridgeway.spec.profiles import held_out
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.forward import forward_parts, places_in_order
from workers.data.loading import canonical_table_of
from workers.data.prepare import Prepared, check_and_prepare
from workers.minibatch.batches import Minibatches


def spec(**fields: Any) -> JobSpec:
    return parse_spec({"dataset": "d", "validation": forward(), **fields})


def forward(folds: int = 3, by: str = "t") -> dict[str, Any]:
    return {"kind": "forward", "folds": folds, "by": by}


def frame(rows: int = 60, **columns: Any) -> pd.DataFrame:
    """Return rows in no order, which `t` tells, with a target that is `t` itself."""
    t = np.random.default_rng(0).permutation(rows).astype(float)
    x = np.random.default_rng(1).normal(size=rows)
    return pd.DataFrame({"x": x, "t": t, **columns, "y": t + 0.5})


@given(st.integers(30, 300), st.integers(2, 12), st.floats(0.01, 0.5))
def test_without_ties_folds_are_those_of_scikit_learn(rows, folds, test_fraction):
    order = np.random.default_rng(rows).permutation(rows)
    development, test, parts = forward_parts(order, test_fraction, folds)
    assert len(test) == held_out(rows, test_fraction)
    assert sorted(order[test]) == list(range(len(development), rows))
    expected = TimeSeriesSplit(folds).split(np.arange(len(development)))
    for (train, valid), (train_places, valid_places) in zip(parts, expected, strict=True):
        assert sorted(order[train]) == train_places.tolist()
        assert sorted(order[valid]) == valid_places.tolist()


@given(st.data())
def test_rows_of_one_value_stay_together_and_no_part_is_empty(data):
    folds = data.draw(st.integers(2, 8))
    places = data.draw(st.integers(folds + 2, 30))
    more = data.draw(st.lists(st.integers(0, places - 1), max_size=200))
    order = np.array([*range(places), *more])
    development, test, parts = forward_parts(order, data.draw(st.floats(0.001, 0.9)), folds)
    assert order[development].max() < order[test].min()
    assert len(parts) == folds
    for index, (train, valid) in enumerate(parts):
        assert order[train].max() < order[valid].min()
        assert order[valid].max() <= order[development].max()
        if index:
            assert sorted(train) == sorted(np.concatenate(parts[index - 1]))


def prepared(data: pd.DataFrame, **fields: Any) -> Prepared:
    return check_and_prepare(spec(task="regression", target="y", **fields), data)


def test_the_last_rows_are_sealed_each_fold_judges_the_next_and_the_refit_takes_all_before():
    made = prepared(frame())
    assert sorted(made.sealed().valid_targets.tolist()) == [t + 0.5 for t in range(48, 60)]
    for index, fold in enumerate(made.folds, 1):
        assert len(fold.train_targets) == 12 * index
        assert sorted(fold.valid_targets.tolist()) == [
            t + 0.5 for t in range(12 * index, 12 * index + 12)
        ]
    assert len(made.sealed().train_targets) == 48


def test_the_column_that_orders_is_no_input():
    assert prepared(frame()).features == ("x",)


def test_the_seed_plays_no_part():
    one, other = prepared(frame(), seed=1), prepared(frame(), seed=2)
    assert str(one.splits) == str(other.splits)


def test_dates_order_rows_as_the_times_that_they_are():
    texts = ["2024-03-01T00:30:00+02:00", "2024-02-29T23:00:00Z", "2024-02-29T22:45:00Z"]
    assert places_in_order(np.array(texts, dtype=object)).tolist() == [0, 2, 1]
    days = pd.date_range("2023-12-01", periods=60).strftime("%Y-%m-%d").to_numpy()
    data = frame()
    dated = data.assign(t=days[data["t"].astype(int)])
    for mine, theirs in zip(prepared(dated).folds, prepared(data).folds, strict=True):
        assert mine.valid_targets.tolist() == theirs.valid_targets.tolist()


def test_folds_of_very_different_size_take_as_many_steps():
    rows = [len(fold.train_targets) for fold in prepared(frame()).folds]
    assert rows == [12, 24, 36]
    batches = Minibatches(rows, batch_size=5, seed=0, device=torch.device("cpu"))
    epoch = batches.epoch()
    assert len(epoch) == batches.steps == 8
    for fold, start in enumerate([0, 12, 36]):
        read = [batch.rows[fold][batch.weights[fold] > 0].tolist() for batch in epoch]
        assert sorted(chain(*read)) == list(range(start, start + rows[fold]))


@pytest.mark.parametrize(
    ("fields", "columns", "field", "words"),
    [
        ({"validation": forward(by="when")}, {}, "validation.by", "no such column; columns: x, t"),
        ({"validation": forward(by="y")}, {}, "validation.by", "is the target"),
        ({}, {"t": [None, *range(59)]}, "validation.by", "has 1 missing values"),
        ({}, {"t": ["soon"] * 30 + ["2024-01-01"] * 30}, "validation.by", "accepted: a column of"),
        ({}, {"t": [0, 1, 2, 3] * 15}, "validation.by", "3 folds need at least 5"),
        ({"groups": "x"}, {}, "groups", "accepted: null"),
    ],
)
def test_what_puts_rows_in_no_order_is_refused(fields, columns, field, words):
    job = spec(task="regression", target="y", **fields)
    profile = profile_table(canonical_table_of(frame(**columns), "d"))

    def check() -> None:
        check_spec(job)
        resolve_spec(job, profile)

    with pytest.raises(InvalidInput, match=words) as refused:
        check()
    assert [error.field for error in refused.value.errors] == [field]


def test_forward_folds_have_no_repeats_and_need_a_column():
    with pytest.raises(InvalidInput, match="accepted: no repeats") as refused:
        parse_spec({"dataset": "d", "validation": {**forward(), "repeats": 2}})
    assert [(e.field, e.value) for e in refused.value.errors] == [("validation.repeats", 2)]
    with pytest.raises(InvalidInput, match="is required") as refused:
        parse_spec({"dataset": "d", "validation": {"kind": "forward"}})
    assert refused.value.errors[0].field == "validation.by"


def test_a_class_that_comes_late_is_refused_in_words():
    data = (
        frame()
        .assign(label=lambda d: np.where(d["t"] < 30, "early", d["t"] % 2))
        .astype({"label": str})
    )
    with pytest.raises(
        JobUnrunnable, match=r"order of 't' the training rows of fold 1.*class '0.0'"
    ):
        check_and_prepare(spec(target="label"), data)
