"""From which strength nets collapse, and what a job searches because of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import CPU, configuration, job, made_up_fold, refit
from torch import Tensor

from ridgeway.spec.models import MlpModel
from ridgeway.spec.space import quantile
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers.data.bundled import bundled_frame
from workers.data.folds import Fold
from workers.data.prepare import check_and_prepare
from workers.models.building import predict
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import TrainedModels
from workers.population.watch import Watch
from workers.strength import range as range_module
from workers.strength.probe import (
    FINE,
    UNPROBED,
    StrengthRange,
    learning_rates,
    probe_members,
    probe_range,
    range_from,
)
from workers.strength.range import strength_range

RATES = {"low": 3e-3, "high": 1e-1, "log": True}


def small_net(**fields: Any) -> JobSpec:
    search = {"learning_rate": RATES, **fields.pop("search", {})}
    return job(
        model={"kind": "mlp", "hidden": [8]}, epochs=25, batch_size=64, search=search, **fields
    )


def probed(spec: JobSpec, fold: Fold, watch: Watch | None = None) -> StrengthRange:
    return probe_range(Problem(spec, [fold], 1, CPU), watch)


def predictions(spec: JobSpec, members: list[Configuration], fold: Fold) -> list[Tensor]:
    """Return each member's predictions for its own training rows."""
    result: TrainedModels = refit(spec, members, fold, seed=7)
    assert not result.diverged_at.any()
    return [
        predict(spec, result.parameters(number, 0), fold.train_inputs, 1).squeeze(1)
        for number in range(len(members))
    ]


def constant(logits: Tensor) -> bool:
    return bool(logits.std() < 1e-2)


@pytest.mark.parametrize(
    ("penalty", "optimizer"),
    [("l1", "adamw"), ("l2", "adam"), ("elastic_net", "sgd"), ("group_lasso", "adamw")],
)
def test_the_high_end_is_where_nets_begin_to_collapse(penalty: str, optimizer: str) -> None:
    spec = small_net(optimizer=optimizer, search={"penalty": [penalty], "weight_decay": 0.0})
    fold = made_up_fold(60)
    found = probed(spec, fold)
    assert found.warnings == ()
    assert found.low == pytest.approx(1e-4 * found.high, rel=1e-2)
    rates = learning_rates(spec.search.learning_rate, 3)  # type: ignore[arg-type]

    def at(strength: float) -> list[Tensor]:
        members = [configuration(penalty, strength, learning_rate=rate) for rate in rates]
        return predictions(spec, members, fold)

    assert not any(constant(logits) for logits in at(found.high / 2))
    assert any(constant(logits) for logits in at(found.high * 10**0.8))


@pytest.mark.parametrize(("optimizer", "classes"), [("sgd", 0), ("adamw", 2)])
def test_less_than_a_tenth_of_the_range_goes_to_collapsed_nets(
    optimizer: str, classes: int
) -> None:
    task = "classification" if classes else "regression"
    spec = small_net(optimizer=optimizer, task=task)
    fold = made_up_fold(60, classes=classes)
    found = probed(spec, fold)
    for penalty in ("l1", "l2", "elastic_net", "group_lasso"):
        members = [
            configuration(
                penalty,
                found.low * (found.high / found.low) ** ((place + 0.5) / 30),
                learning_rate=quantile(spec.search.learning_rate, place * 0.618 % 1),  # type: ignore[arg-type]
            )
            for place in range(30)
        ]
        collapsed = [constant(logits) for logits in predictions(spec, members, fold)]
        assert sum(collapsed) < 3, penalty


def test_a_range_that_is_ten_times_too_high_would_be_noticed() -> None:
    """The two tests above rest on this: there are collapsed nets to be met above the range."""
    fold, spec = made_up_fold(60), small_net()
    high = probed(spec, fold).high
    members = [configuration("group_lasso", by * high, learning_rate=0.03) for by in (10, 30, 100)]
    assert all(constant(logits) for logits in predictions(spec, members, fold))


def test_the_range_is_the_same_again_and_with_more_threads() -> None:
    fold, spec = made_up_fold(60), small_net()
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 1, 2):
            torch.set_num_threads(count)
            found.append(probed(spec, fold))
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1] == found[2]


def test_the_range_does_not_depend_on_rows_that_no_net_trains_on() -> None:
    spec = parse_spec(
        {
            "dataset": "wine",
            "trials": 60,
            "model": {"kind": "mlp", "hidden": [8]},
            "search": {"learning_rate": RATES},
        }
    )
    frame = bundled_frame("wine")
    prepared = check_and_prepare(spec, frame)
    judged = prepared.folds[0]
    elsewhere = replace(
        judged,
        valid_inputs=1000 * judged.valid_inputs,
        valid_targets=judged.valid_targets.flip(0),
    )
    sealed = frame.copy()
    sealed.iloc[prepared.splits.test, :-1] = 1000.0
    found = [
        strength_range(
            each, Problem(each.spec, each.folds, each.outputs, CPU), lambda done, of: None
        )
        for each in (
            prepared,
            replace(prepared, folds=(elsewhere, *prepared.folds[1:])),
            check_and_prepare(spec, sealed),
        )
    ]
    assert found[0] == found[1] == found[2]
    assert found[0].high not in UNPROBED


def test_forward_folds_are_probed_on_the_one_with_the_most_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probed: list[int] = []

    def noted(problem: Problem, watch: Watch) -> None:
        probed.extend(problem.fold_rows)

    monkeypatch.setattr(range_module, "probe_range", noted)
    spec = parse_spec(
        {"dataset": "diabetes", "validation": {"kind": "forward", "folds": 2, "by": "age"}}
    )
    frame = bundled_frame("diabetes")
    prepared = check_and_prepare(spec, frame)
    problem = Problem(prepared.spec, prepared.folds, prepared.outputs, CPU)
    strength_range(prepared, problem, lambda done, of: None)
    assert probed == [max(problem.fold_rows)]


def test_a_worker_that_has_to_stop_is_heard_between_epochs() -> None:
    told: list[int] = []

    def stop(epoch: int, epochs: int) -> None:
        told.append(epoch)
        if epoch == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        probed(small_net(), made_up_fold(), Watch(on_epoch=stop))
    assert told == [1, 2, 3]


# --- what is trained ----------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.integers(1, 3000), st.integers(2, 20))
def test_a_probe_stays_small_beside_its_job(trials: int, folds: int) -> None:
    spec = small_net(trials=trials, validation={"kind": "folds", "folds": folds})
    members, planned = len(probe_members(spec)), trials * folds
    assert members <= 0.1 * planned
    if planned >= 270:
        assert 0 < members <= 0.03 * planned


def test_the_strongest_penalty_searched_is_the_one_probed() -> None:
    def probed(*penalties: str) -> set[str]:
        return {
            member.penalty
            for member in probe_members(small_net(search={"penalty": list(penalties)}))
        }

    assert probed("none", "l2", "l1", "group_lasso") == {"none", "group_lasso"}
    assert probed("elastic_net", "l1") == {"none", "l1"}
    assert probed("l2", "elastic_net") == {"none", "elastic_net"}
    assert probed("none") == set()


def test_every_strength_is_tried_once_and_every_learning_rate_with_a_spread_of_them() -> None:
    members = probe_members(small_net())
    strengths = [member.strength for member in members if member.penalty != "none"]
    assert tuple(strengths) == FINE
    for rate in {member.learning_rate for member in members}:
        own = [m.strength for m in members if m.learning_rate == rate]
        assert own[0] == 0
        assert max(own) / own[1] > 9e4


def test_a_probe_trains_like_the_middle_of_the_search() -> None:
    search = {
        "penalty": "elastic_net",
        "l1_ratio": {"low": 0.2, "high": 0.4},
        "weight_decay": {"low": 1e-5, "high": 1e-3, "log": True},
        "dropout": [0.5, 0.1, 0.3],
        "input_noise": 0.2,
    }
    member = probe_members(small_net(search=search))[-1]
    assert (member.l1_ratio, member.weight_decay) == pytest.approx((0.3, 1e-4))
    assert (member.dropout, member.input_noise, member.label_smoothing) == (0.3, 0.2, 0.0)


def test_learning_rates_stand_for_equal_parts_of_what_is_searched() -> None:
    wide = small_net(search={"learning_rate": {"low": 1e-6, "high": 1.0, "log": True}})
    assert learning_rates(wide.search.learning_rate, 3) == pytest.approx([1e-5, 1e-3, 1e-1])  # type: ignore[arg-type]
    assert learning_rates([0.3, 0.1, 0.2], 3) == [0.1, 0.2, 0.3]
    assert learning_rates([0.1, 0.2], 3) == [0.1, 0.2]
    assert learning_rates(0.1, 3) == [0.1]


def test_a_job_too_small_for_a_probe_searches_the_fixed_range() -> None:
    spec = small_net(trials=15, validation={"kind": "folds", "folds": 5})
    nothing = made_up_fold(1)
    assert probed(spec, nothing) == StrengthRange(*UNPROBED)
    skipping = {"model": MlpModel(skip=True)}
    for others, range_ in (["none"], (1e-4, 10.0)), (["l1"], UNPROBED):
        search = spec.search.model_copy(update={"penalty": ["hierarchical", *others]})
        own = spec.model_copy(update={**skipping, "search": search})
        assert probed(own, nothing) == StrengthRange(*range_)


# --- what it tells ------------------------------------------------------------------------------

LOW, HIGH = 0.01, 0.1  # learning rates


def told(free: dict[float, float], penalised: dict[tuple[float, float], float]) -> StrengthRange:
    """Return the range that shares explained by rate, and by rate and strength, suggest."""
    members = [configuration("none", learning_rate=rate) for rate in free]
    members += [configuration("l1", strength, learning_rate=rate) for rate, strength in penalised]
    return range_from(members, [*free.values(), *penalised.values()])


def test_the_high_end_lies_a_third_of_the_way_from_the_last_survivor_to_the_weakest_collapse() -> (
    None
):
    seen = {(LOW, 0.1): 0.8, (LOW, 1.0): 0.7, (HIGH, 0.2): 0.5, (HIGH, 2.0): 0.0}
    assert told({LOW: 0.9, HIGH: 0.9}, seen) == StrengthRange(1.26e-4, 1.26)
    assert told({LOW: 0.9, HIGH: 0.9}, seen | {(HIGH, 0.3): 0.4, (HIGH, 0.5): 0.0}).high == 0.356


def test_a_member_that_diverged_has_not_collapsed() -> None:
    seen = {(LOW, 0.1): math.nan, (LOW, 0.2): 0.5, (LOW, 0.3): math.nan, (LOW, 0.4): 0.0}
    assert told({LOW: 0.9}, seen) == StrengthRange(2.52e-5, 0.252)


def test_a_weak_strength_that_failed_by_chance_sets_no_end() -> None:
    seen = {(LOW, 0.1): 0.0, (LOW, 0.2): 0.5, (LOW, 0.3): 0.0}
    assert told({LOW: 0.9}, seen).high == 0.229


def test_a_rate_that_learns_nothing_unpenalised_tells_nothing() -> None:
    seen = {(LOW, 0.1): 0.0, (HIGH, 0.1): 0.5, (HIGH, 0.2): 0.0}
    assert told({LOW: 0.05, HIGH: 0.9}, seen).high == 0.126
    assert told({LOW: math.nan, HIGH: 0.9}, seen).high == 0.126


def test_a_probe_that_finds_no_end_says_so() -> None:
    found = told({LOW: 0.9}, {(LOW, 0.1): 0.8, (LOW, 10.0): 0.7})
    assert (found.low, found.high) == (1e-3, 10.0)
    assert found.warnings == ('no net collapsed under a λ of up to 10: "auto" searches no further',)


@pytest.mark.parametrize(
    ("free", "seen", "reason"),
    [
        (0.9, 0.0, "every probed net collapsed"),
        (0.9, math.nan, "every probed net collapsed or diverged"),
        (0.0, 0.5, "no probed net did better than a constant"),
        (math.nan, 0.5, "no probed net did better than a constant"),
    ],
)
def test_a_probe_that_tells_nothing_leaves_the_fixed_range_and_a_warning(
    free: float, seen: float, reason: str
) -> None:
    found = told({LOW: free}, {(LOW, 0.1): seen})
    assert (found.low, found.high) == UNPROBED
    (warning,) = found.warnings
    assert warning.startswith('"auto" searches λ from 1e-06 to 0.1: ')
    assert reason in warning
