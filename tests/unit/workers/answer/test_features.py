"""What the answer says of features: weights, folds and halves that use them, their worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from answering import give, trained_trials, training_of

from ridgeway.data.store import Store
from ridgeway.features import Features
from ridgeway.jobs.artifacts import FEATURES, PATH
from ridgeway.paths import RegularisationPath
from ridgeway.spec.wording import parse_spec
from workers.answer import features, stability
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare
from workers.data.splits import halves
from workers.objectives.metrics import resampled_weights
from workers.population.configuration import Configuration
from workers.population.problem import Problem

LINEAR = {"model": {"kind": "linear"}}
NONE = {"penalty": "none"}
LASSO = {"penalty": "l1", "lambda": 0.05}


def features_of(folder: Path, prepared: Prepared, *params: dict[str, Any]) -> Features:
    """Return the features in the answer to a search of these trials."""
    store = Store(str(folder))
    given = give(prepared, store, trained_trials(prepared, *params))
    return Features.model_validate_json(store.get(given.artifacts[FEATURES].address))


def prepared_of(table: pd.DataFrame, **fields: Any) -> Prepared:
    return check_and_prepare(parse_spec({"dataset": "mine", **LINEAR, **fields}), table)


def sparse_table(rows: int = 300, columns: int = 40, noise: float = 1.0) -> pd.DataFrame:
    """Return a table whose first three columns tell the target."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(rows, columns))).rename(columns="x{}".format)
    told = 3 * table["x0"] - 2 * table["x1"] + table["x2"]
    return table.assign(y=told + noise * draw.normal(size=rows))


def test_what_tells_the_target_is_stable_and_nothing_else(tmp_path: Path) -> None:
    found = features_of(tmp_path, prepared_of(sparse_table()), LASSO, NONE)
    assert [feature.name for feature in found.features[:3]] == ["x0", "x1", "x2"]
    assert [feature.sign for feature in found.features[:3]] == [1, -1, 1]
    assert found.stability is not None
    assert found.stability.stable == ["x0", "x1", "x2"]
    assert (found.stability.pairs, found.stability.most) == (50, 4)  # ⌊√(0.5 · 40)⌋
    assert found.stability.false_selections == pytest.approx(4**2 / (0.5 * 40))
    by_name = {feature.name: feature for feature in found.features}
    for name, size in (("x0", 3.0), ("x1", 2.0), ("x2", 1.0)):
        own = by_name[name]
        assert (own.frequency, own.folds) == (1.0, 1.0)
        assert own.importance_interval is not None
        # A shuffled column adds 2 w² times its variance to the squared error.
        weight = np.abs(own.coefficients[name][0]) if own.coefficients else np.nan
        assert own.importance == pytest.approx(2 * weight**2, rel=0.4)
        assert own.importance_interval[0] < own.importance < own.importance_interval[1]
        assert weight == pytest.approx(size, abs=0.4)


def test_a_feature_that_is_not_used_is_worth_nothing(tmp_path: Path) -> None:
    found = features_of(tmp_path, prepared_of(sparse_table()), {**LASSO, "lambda": 0.5})
    unused = [feature for feature in found.features if not feature.used]
    assert unused
    for feature in unused:
        assert (feature.norm, feature.importance, feature.sign) == (0.0, 0.0, 0)
        assert feature.importance_interval is None


def test_coefficients_are_those_of_the_path(tmp_path: Path) -> None:
    prepared = check_and_prepare(
        parse_spec({"dataset": "diabetes", "precision": "float64", **LINEAR}),
        bundled_frame("diabetes"),
    )
    store = Store(str(tmp_path))
    strength = 0.5 * LASSO["lambda"]
    trials = trained_trials(prepared, {**LASSO, "lambda": strength}, NONE)
    given = give(prepared, store, trials)
    found = Features.model_validate_json(store.get(given.artifacts[FEATURES].address))
    path = RegularisationPath.model_validate_json(store.get(given.artifacts[PATH].address))
    around = sorted(path.points, key=lambda point: abs(np.log(point.strength / strength)))[:2]
    for feature in found.features:
        ours = (feature.coefficients or {})[feature.name][0]
        ends = sorted((point.coefficients or {}).get(feature.name, [0.0])[0] for point in around)
        assert ends[0] - 30 <= ours <= ends[1] + 30  # the path is steep, but no more than this
    assert found.settled


def test_a_category_is_one_feature_whose_levels_move_together(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    level = draw.choice(["red", "green", "blue"], 240)
    worth = pd.Series(level).map({"red": 0.0, "green": 2.0, "blue": -2.0})
    table = pd.DataFrame({"number": draw.normal(size=240), "colour": level})
    table["y"] = worth + 0.3 * draw.normal(size=240)
    found = features_of(tmp_path, prepared_of(table), {"penalty": "l2", "lambda": 1e-3}, NONE)
    assert [feature.name for feature in found.features] == ["colour", "number"]
    colour = found.features[0]
    assert set(colour.coefficients or {}) == {"colour=red", "colour=green", "colour=blue"}
    assert colour.sign is None
    assert colour.importance is not None
    assert colour.importance > 2
    assert found.settled is None


def test_groups_are_kept_together_and_classes_in_both_halves() -> None:
    table = sparse_table(120)
    table["y"] = np.where(table["y"] > 0, "a", "b")
    grouped = table.assign(subject=[f"s{place // 4}" for place in range(120)])
    own = prepared_of(grouped, groups="subject", target="y")
    pair = own.halves(3)
    assert pair is not None
    one, other = pair
    rows = len(own.splits.development)
    assert len(one.train_targets) + len(other.train_targets) == rows
    assert len(one.valid_targets) == len(other.train_targets)
    assert {len(half.train_targets) % 4 for half in pair} == {0}
    plain = prepared_of(table)
    parted = plain.halves(3)
    assert parted is not None
    counts = [np.bincount(half.train_targets.numpy()) for half in parted]
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_a_class_that_one_group_holds_leaves_no_halves() -> None:
    rows = np.arange(40)
    labels = np.where(rows < 10, 1, 0)
    assert halves(rows, labels, None, 0) is not None
    assert halves(rows, labels, np.maximum(rows, 9), 0) is None


def test_halves_that_do_not_fit_at_once_are_trained_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each turn has a seed of its own, by which its checkpoint is known."""
    prepared = prepared_of(sparse_table(100, 8))
    doors, member = training_of(prepared), Configuration("l1", 0.1, 0.0, 0.0, 0.0)
    seeds: list[int] = []

    def train(problem: Problem, members: Any) -> Any:
        seeds.append(problem.spec.seed)
        return doors.train(problem, members)

    watched = replace(doors, train=train)
    at_once = stability.selections(member, prepared, watched)
    assert len(seeds) == 1
    monkeypatch.setattr(stability, "FLOATS", 8 * 80 * 20)  # of twenty pairs
    assert stability.selections(member, prepared, watched) == at_once
    assert len(set(seeds)) == len(seeds) - 1 == 3  # the first turn is the same


def test_nets_rank_by_norm_and_say_whether_zeros_have_settled(tmp_path: Path) -> None:
    net = {"kind": "mlp", "hidden": [8]}
    prepared = prepared_of(
        sparse_table(200, 10), model=net, optimizer="adam", epochs=40, trials=20, batch_size=32
    )
    rate = {"learning_rate": 0.01}
    group = {"penalty": "group_lasso", "lambda": 0.02, **rate}
    found = features_of(tmp_path, prepared, group, {**NONE, **rate})
    assert {feature.name for feature in found.features[:2]} == {"x0", "x1"}
    assert all(feature.coefficients is None for feature in found.features)
    assert found.settled in (True, False)
    assert found.stability is not None
    assert (found.stability.pairs, found.stability.most) == (5, 2)
    assert set(found.stability.stable) == {"x0", "x1"}


def test_beside_the_constant_they_are_the_best_trials(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    table = pd.DataFrame(draw.normal(size=(200, 5))).rename(columns="x{}".format)
    table["y"] = draw.normal(size=200)
    found = features_of(tmp_path, prepared_of(table), LASSO, NONE)
    assert found.choice == "baseline"
    assert found.trial == 0
    assert len(found.features) == 5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_of_importances_are_those_of_the_rows_themselves(
    grouped: bool, weighted: bool
) -> None:
    rows, draw = 60, np.random.default_rng(0)
    fold = prepared_of(sparse_table(rows, 3)).development()
    count = len(fold.valid_targets)
    groups = torch.as_tensor(draw.integers(9, size=count)) if grouped else None
    weights = torch.as_tensor(draw.uniform(0.5, 2, count)) if weighted else None
    fold = replace(fold, valid_groups=groups, valid_weights=weights)
    table = torch.as_tensor(draw.normal(size=(3, count)))
    own = features._Rises(fold, 7)
    own_weights = torch.ones(count).double() if weights is None else weights
    means = [own.add(rise) for rise in table]
    assert means == pytest.approx((table * own_weights).mean(1).tolist(), rel=1e-12)
    drawn = resampled_weights(count, groups, 7, features.REPLICATES, own_weights)
    shares = torch.cat([each / each.sum(1, keepdim=True) for each in drawn])  # (R, rows)
    for rise, interval in zip(table, own.intervals(), strict=True):
        expected = np.quantile((shares @ rise).numpy(), [0.025, 0.975])
        assert interval == pytest.approx(tuple(expected), rel=1e-10)
