"""Memory that runs out: fewer members side by side, and the same results to the last bit."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from populations import (
    SIDE_BY_SIDE,
    UNEVEN,
    assert_same_results,
    configuration,
    job,
    made_up_fold,
    mixed,
    refit,
    same_bits,
    train,
    trainer_of,
)
from torch import Tensor

from workers.backends import StepBatch
from workers.fullbatch.fista import Fista
from workers.minibatch import feed
from workers.minibatch.chunks import Chunk
from workers.minibatch.trainer import Trainer
from workers.models.alignment import ROW_ALIGNMENT
from workers.population.results import PopulationResult
from workers.population.run import FEWER_NOTE
from workers.population.state import PopulationState
from workers.population.watch import Rung, Watch

SPEC = job(
    model={"kind": "mlp", "hidden": [7]},
    epochs=9,
    batch_size=25,
    early_stopping={"patience": 4},
)
KINDS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory"),
    "cpu": RuntimeError(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    ),
}


@pytest.fixture(scope="module")
def whole() -> PopulationResult:
    return train(SPEC, mixed(9), UNEVEN)


def limit(
    monkeypatch: pytest.MonkeyPatch, most: int, error: Exception, from_step: int = 0
) -> list[int]:
    """From this step on no more than so many members fit; how many each epoch was tried with."""
    real: Callable[..., Tensor] = Trainer.train_epoch
    tried: list[int] = []

    def limited(self: Trainer, chunk: Chunk, batches: Sequence[object]) -> Tensor:
        tried.append(len(chunk.members))
        if len(chunk.members) > most and chunk.steps >= from_step:
            chunk.weights.fill_(torch.nan)  # an epoch that was not finished leaves anything behind
            raise error
        return real(self, chunk, batches)

    monkeypatch.setattr(Trainer, "train_epoch", limited)
    return tried


@pytest.mark.parametrize("kind", KINDS)
def test_a_population_that_does_not_fit_is_halved_and_no_bit_changes(
    kind: str, whole: PopulationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = limit(monkeypatch, 3, KINDS[kind], from_step=4)
    result = train(SPEC, mixed(9), UNEVEN)
    assert set(tried) >= {9, 5, 3, 2}
    assert result.notes.count(FEWER_NOTE) == 1
    assert FEWER_NOTE not in whole.notes
    assert_same_results(result, whole)


def test_members_go_on_from_where_they_were_last_kept(
    whole: PopulationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = limit(monkeypatch, 5, KINDS["cpu"], from_step=8)
    kept: list[PopulationState] = []

    def keep(state: Callable[[], PopulationState]) -> None:
        if len(tried) == 3:
            kept.append(state())

    assert_same_results(train(SPEC, mixed(9), UNEVEN, watch=Watch(keep=keep)), whole)
    assert len(kept) == 1
    assert tried[:6] == [9, 9, 9, 9, 9, 5]  # two steps an epoch: the fifth epoch does not fit
    assert len(tried) == 5 + 2 * (9 - 3)


def test_members_that_go_through_a_rung_again_are_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []

    def prune(rung: Rung) -> list[int]:
        asked.append((rung.epoch, len(rung.curves)))
        return [2, 7] if rung.epoch == 2 else []

    watch = Watch(rungs=(2, 6), prune=prune)
    expected = train(SPEC, mixed(9), UNEVEN, watch=watch)
    assert asked == [(2, 9), (6, 6)]
    asked.clear()
    limit(monkeypatch, 4, KINDS["cpu"], from_step=8)
    assert_same_results(train(SPEC, mixed(9), UNEVEN, watch=watch), expected)
    assert asked == [(2, 9), (6, 3), (6, 3)]


def test_a_checkpoint_that_does_not_fit_once_a_part_has_left_costs_no_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = job(model={"kind": "linear"}, epochs=3)
    expected = train(spec, mixed(4), UNEVEN)
    monkeypatch.setattr(Trainer, "parts", lambda self, members: [range(2), range(2, members)])
    kept: list[int] = []

    def keep(state: Callable[[], PopulationState]) -> None:
        kept.append(1)
        if len(kept) == spec.epochs:  # the first part has left, the second is to do
            raise MemoryError

    assert_same_results(train(spec, mixed(4), UNEVEN, watch=Watch(keep=keep)), expected)


def test_one_member_that_does_not_fit_ends_the_training_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit(monkeypatch, 0, KINDS["cuda"])
    with pytest.raises(MemoryError, match=r"one trial alone does not fit.*CUDA out of memory"):
        train(SPEC, mixed(3), UNEVEN)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = limit(monkeypatch, 0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        train(SPEC, mixed(3), UNEVEN)
    assert tried == [3]


def test_refits_are_halved_too(monkeypatch: pytest.MonkeyPatch) -> None:
    members = mixed(5)
    expected = refit(SPEC, members, UNEVEN[0])
    limit(monkeypatch, 2, KINDS["cpu"])
    refits = refit(SPEC, members, UNEVEN[0])
    for name, value in expected.states.items():
        assert same_bits(value, refits.states[name]), name


# --- the full-batch solver ------------------------------------------------------------------------


CONVEX = job(optimizer="exact", model={"kind": "linear"}, epochs=6)


def limit_solver(monkeypatch: pytest.MonkeyPatch, most: int, from_round: int = 1) -> list[int]:
    """The same of members that are solved together; a round's number is of one solver."""
    real = Fista.advance
    tried: list[int] = []
    rounds: dict[Fista, int] = {}

    def limited(self: Fista) -> None:
        rounds[self] = rounds.get(self, 0) + 1
        members = self.weights.shape[1]
        tried.append(members)
        real(self)
        if members > most and rounds[self] >= from_round:
            raise KINDS["cpu"]

    monkeypatch.setattr(Fista, "advance", limited)
    return tried


@pytest.mark.parametrize("keeps", [True, False])
def test_linear_models_that_do_not_fit_are_halved_and_no_bit_changes(
    keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [*mixed(8), configuration("none", label_smoothing=math.inf)]
    expected = train(CONVEX, members, UNEVEN, dtype=torch.float64, engine=SIDE_BY_SIDE)
    assert expected.diverged_at[8] == 1
    assert set(expected.member_epochs[:8]) > {6}  # some converge earlier
    tried = limit_solver(monkeypatch, 4, from_round=2)
    watch = Watch(keep=lambda state: state() and None) if keeps else Watch()
    result = train(CONVEX, members, UNEVEN, dtype=torch.float64, engine=SIDE_BY_SIDE, watch=watch)
    epochs = expected.member_epochs[expected.member_epochs > 1]  # the others left in the first
    assert tried[:3] == [9, 9, 3]
    assert len(tried) == 2 + epochs[:3].max() + epochs[3:].max() - (2 if keeps else 0)
    assert FEWER_NOTE in result.notes
    assert_same_results(result, expected)
    assert result.converged is not None
    assert np.array_equal(result.converged, expected.converged)


def test_one_linear_model_that_does_not_fit_ends_the_solving_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit_solver(monkeypatch, 0)
    with pytest.raises(MemoryError, match="one trial alone does not fit"):
        train(CONVEX, mixed(3), UNEVEN, engine=SIDE_BY_SIDE)


def test_rows_of_a_full_batch_are_not_held_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "ROWS_AT_ONCE", ROW_ALIGNMENT)
    monkeypatch.setattr(feed, "EPOCH_FLOATS", 0)  # as of rows that are too many to be laid out
    trainer = trainer_of(SPEC, [made_up_fold(10 * ROW_ALIGNMENT)])
    (chunk,) = trainer.chunks([configuration()])
    read, seen = trainer.feed.epoch, list[weakref.ref[Tensor]]()

    def watched(*given: Any) -> Iterator[StepBatch]:
        for step in read(*given):
            seen.append(weakref.ref(step.inputs))
            assert sum(own() is not None for own in seen) <= 2  # the last one, and this
            yield step

    monkeypatch.setattr(trainer.feed, "epoch", watched)
    trainer.full_gradient(chunk)
    assert len(seen) == 10
