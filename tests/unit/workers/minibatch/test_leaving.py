"""Members that leave before the last epoch: stopped early, pruned, or refitted for fewer epochs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from populations import (
    NET,
    NORMED,
    UNEVEN,
    configuration,
    install_models,
    job,
    made_up_fold,
    mixed,
    refit,
    same_bits,
    train,
    trainer_of,
)

from ridgeway.spec.spec import JobSpec
from workers.minibatch.trainer import Trainer
from workers.population.configuration import Configuration
from workers.population.judging import Company
from workers.population.outcomes import outcomes_of
from workers.population.results import PopulationResult
from workers.population.roll import ScoredRoll, best_epochs
from workers.population.state import PartState
from workers.population.watch import Rung, Watch


def stopping(patience: int, **fields: object) -> JobSpec:
    options = {"model": NET, "epochs": 24, "batch_size": 25, **fields}
    return job(early_stopping={"patience": patience}, **options)


def unstopped(spec: JobSpec) -> JobSpec:
    return spec.model_copy(update={"early_stopping": None})


def stops_at(curve: list[float], patience: int, maximise: bool) -> tuple[int, int]:
    """The definition: the last epoch that is trained, and the one that counts."""
    best = 0
    for place, value in enumerate(curve):
        if (value > curve[best]) if maximise else (value < curve[best]):
            best = place
        if place - best == patience:
            return place + 1, best + 1
    return len(curve), best + 1


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("objective", "schedule"), [("loss", "cosine"), ("accuracy", "constant")])
def test_a_trial_stops_on_its_mean_curve_and_its_value_is_the_best_point(
    optimizer: str, objective: str, schedule: str
) -> None:
    spec = stopping(4, optimizer=optimizer, objective=objective, schedule=schedule)
    members = mixed(10)
    whole, result = train(unstopped(spec), members, UNEVEN), train(spec, members, UNEVEN)
    assert result.value_epochs is not None
    ends: set[int] = set()
    for member, own in enumerate(members):
        curve = whole.curves[member].tolist()
        last, best = stops_at(curve[:-1], 4, spec.maximise)
        if last == spec.epochs - 1:
            continue  # the last point of `whole` is of settled weights
        ends.add(last)
        assert (result.member_epochs[member], result.value_epochs[member]) == (last, best)
        same = [epoch for epoch in range(last) if epoch != best - 1]
        assert np.array_equal(result.curves[member, same], whole.curves[member, same])
        assert np.isnan(result.curves[member, last:]).all()
        assert result.values[member] == result.curves[member, best - 1]
        if own.penalty in ("none", "l2"):
            assert result.values[member] == curve[best - 1]
    assert ends


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_stopped_trial_ends_with_the_models_of_a_refit_of_as_many_epochs(optimizer: str) -> None:
    spec = stopping(
        3, optimizer=optimizer, schedule="cosine", warmup_epochs=2, search={"dropout": 0.3}
    )
    members = [
        configuration(penalty, 0.01, learning_rate=rate, dropout=0.3)
        for penalty in ("none", "l1", "group_lasso")
        for rate in (0.3, 0.03)
    ]
    result = train(spec, members, UNEVEN[:1])
    assert result.value_epochs is not None
    assert (result.value_epochs < spec.epochs).any()
    epochs = result.value_epochs.tolist()
    refits = refit(spec, members, UNEVEN[0], 1, epochs=epochs)
    assert refits.nonzero_weights.tolist() == result.nonzero_weights.tolist()
    for member in range(len(members)):
        for name, value in refits.parameters(member, 0).items():
            assert same_bits(value, result.parameters(member, 0)[name]), name


def test_a_sparse_trials_value_is_of_its_settled_weights() -> None:
    spec = stopping(3, model={"kind": "linear"}, epochs=60)
    member = configuration("l1", 0.01, learning_rate=0.3)
    (alone,) = train(spec, [member], UNEVEN[:1]).values
    epochs = int(train(spec, [member], UNEVEN[:1]).value_epochs[0])  # type: ignore[index]
    refitted = refit(spec, [member], UNEVEN[0], epochs=[epochs])
    logits = UNEVEN[0].valid_inputs @ refitted.parameters(0, 0)["weight"][0]
    logits = logits + refitted.parameters(0, 0)["bias"]
    targets = UNEVEN[0].valid_targets.float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    assert epochs < 57
    assert alone == pytest.approx(expected.item(), rel=1e-5)


def test_a_stopped_trial_is_bitwise_the_same_in_any_company() -> None:
    spec, members = stopping(2), mixed(9)
    together = train(spec, members, UNEVEN)
    for member in (0, 1, 4, 8):
        assert_same(together, member, train(spec, [members[member]], UNEVEN), 0)


def assert_same(left: PopulationResult, i: int, right: PopulationResult, j: int) -> None:
    names = ["curves", "values", "fold_values", "nonzero_weights", "settled", "member_epochs"]
    for name in [*names, "diverged_at", "value_epochs"]:
        assert np.array_equal(getattr(left, name)[i], getattr(right, name)[j], equal_nan=True), name
    for fold in range(left.fold_values.shape[1]):
        for name, value in left.parameters(i, fold).items():
            assert same_bits(value, right.parameters(j, fold)[name]), name


def test_models_with_batch_statistics_stop_with_all_their_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_models(tmp_path, monkeypatch, NORMED, ["normed"])
    spec = stopping(2, model={"kind": "normed"}, epochs=25)
    members = [configuration(learning_rate=rate) for rate in (1.0, 0.3, 0.01)]
    result = train(spec, members, UNEVEN)
    assert result.value_epochs is not None
    whole = train(unstopped(spec), members, UNEVEN)
    for member in range(3):
        last, best = stops_at(whole.curves[member].tolist(), 2, False)
        assert (result.member_epochs[member], result.value_epochs[member]) == (last, best)
        assert result.values[member] == whole.curves[member, best - 1]
    assert result.member_epochs.min() < spec.epochs


class Told(ScoredRoll):
    """Tells in which order epochs are judged, and heard of."""

    def __init__(self, trainer: Trainer, members: int) -> None:
        super().__init__(trainer.judge, trainer.layout, trainer.buffers, members)
        self.told: list[str] = []

    def judge_epoch(self, company: Company, epoch: int) -> Callable[[], None]:
        note = super().judge_epoch(company, epoch)
        self.told.append(f"judged {epoch}")

        def hear() -> None:
            note()
            self.told.append(f"heard {epoch}")

        return hear


def test_an_epoch_is_heard_of_while_the_next_one_trains() -> None:
    spec = job(model=NET, epochs=5)
    trainer = trainer_of(spec, UNEVEN)
    members = mixed(2)
    roll = Told(trainer, len(members))
    part = trainer.begin(members, PartState((0, 1)), roll)
    for _ in range(2):
        part.train_epoch()
    assert roll.told == ["judged 1", "judged 2", "heard 1"]
    part.frozen(0)
    assert roll.told[3:] == ["heard 2"]
    part.train_epoch()
    part.catch_up()
    assert roll.told[4:] == ["judged 3", "heard 3"]
    while part.members:
        part.train_epoch()
    assert roll.told[6:] == ["judged 4", "judged 5", "heard 4", "heard 5"]
    assert np.array_equal(roll.curves(5), train(spec, members, UNEVEN).curves)


def test_a_trial_that_diverges_while_it_is_waited_for_has_failed() -> None:
    kind = {"model": {"kind": "linear"}, "task": "regression", "optimizer": "sgd"}
    spec = stopping(5, batch_size=64, epochs=20, **kind)
    fold = made_up_fold(50, classes=0)
    result = train(spec, [configuration(learning_rate=1e9), configuration()], [fold])
    assert result.diverged_at[0] in (2, 3, 4)
    assert result.diverged_at[1] == 0
    failed, complete = outcomes_of(spec, [configuration(), configuration()], result, 7)
    assert failed.value is None
    assert complete.facts.best_epoch <= complete.facts.epochs == len(complete.curve)
    assert complete.value == complete.curve[complete.facts.best_epoch - 1]


@given(
    st.lists(st.floats(allow_infinity=False) | st.just(float("nan")), min_size=1, max_size=9),
    st.booleans(),
)
def test_the_best_epoch_is_the_first_of_the_best_points(curve: list[float], more: bool) -> None:
    (best,) = best_epochs(np.array([curve]), more)
    numbers = [value for value in curve if value == value]
    expected = curve.index((max if more else min)(numbers)) + 1 if numbers else 1
    assert best == expected


# --- refits -------------------------------------------------------------------------------------


def test_refits_of_unequal_length_are_those_that_each_would_be_alone() -> None:
    spec = job(model=NET, epochs=20, batch_size=16, schedule="cosine")
    members, epochs = mixed(5), [20, 3, 11, 3, 20]
    together = refit(spec, members, UNEVEN[0], 1, epochs=epochs)
    for member in range(5):
        own: list[Configuration] = [members[member]]
        alone = refit(spec, own, UNEVEN[0], 1, epochs=[epochs[member]])
        for name, value in alone.parameters(0, 0).items():
            assert same_bits(value, together.parameters(member, 0)[name]), name


# --- rungs --------------------------------------------------------------------------------------


def test_pruned_trials_leave_at_their_rung_and_nobody_else_notices() -> None:
    spec, members = job(model=NET, epochs=12, batch_size=16), mixed(8)
    whole = train(spec, members, UNEVEN)
    seen: list[Rung] = []

    def prune(rung: Rung) -> Collection[int]:
        seen.append(rung)
        return {2: {1, 5}, 6: {0}}[rung.epoch]

    result = train(spec, members, UNEVEN, watch=Watch(rungs=(2, 6), prune=prune))
    assert [sorted(rung.curves) for rung in seen] == [list(range(8)), [0, 2, 3, 4, 6, 7]]
    assert [rung.curves[2] for rung in seen] == [whole.curves[2, :e].tolist() for e in (2, 6)]
    assert result.pruned_at is not None
    assert result.pruned_at.tolist() == [6, 2, 0, 0, 0, 2, 0, 0]
    assert result.member_epochs.tolist() == [6, 2, 12, 12, 12, 2, 12, 12]
    for member in (2, 3, 4, 6, 7):
        assert_same(result, member, whole, member)
    outcomes = outcomes_of(spec, members, result, 10)
    assert [outcome.number for outcome in outcomes if outcome.pruned] == [10, 11, 15]
    assert (outcomes[1].value, outcomes[1].number) == (whole.curves[1, 1], 11)
    assert list(outcomes[1].curve) == whole.curves[1, :2].tolist()
    assert outcomes[1].reason == "pruned after epoch 2 of 12"


def test_pruning_everybody_ends_the_training() -> None:
    spec, epochs = job(model={"kind": "linear"}, epochs=50), []
    watch = Watch(rungs=(3,), prune=lambda rung: list(rung.curves))
    result = train(
        spec, mixed(4), UNEVEN, watch=watch, on_epoch=lambda done, of: epochs.append(done)
    )
    assert epochs == [1, 2, 3]
    assert result.member_epochs.tolist() == [3] * 4
