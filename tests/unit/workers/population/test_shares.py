"""How much of a population's training is done, as its watch is told: within epochs, and between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from populations import (
    NET,
    SIDE_BY_SIDE,
    UNEVEN,
    configuration,
    job,
    mixed,
    problem_of,
    train,
    train_by,
    trainer_of,
)

from ridgeway.spec.spec import JobSpec
from workers import train as training
from workers.fullbatch.paths import RUNGS_A_DECADE
from workers.kernels import Library, load
from workers.population.configuration import Configuration
from workers.population.state import PopulationState
from workers.population.watch import Watch


class Told:
    """The shares that a watch was told, and how many of them before each epoch's end."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.by_epoch: list[int] = []
        self.watch = Watch(
            on_share=self.shares.append,
            on_epoch=lambda *_: self.by_epoch.append(len(self.shares)),
        )

    def check(self) -> None:
        """They begin at nothing, grow, and end when all is done."""
        assert self.shares[0] == 0
        assert self.shares[-1] == pytest.approx(1)
        assert max(self.shares) <= 1
        assert all(before < after for before, after in pairwise(self.shares))


def net(**fields: Any) -> JobSpec:
    return job(model=NET, optimizer="adamw", batch_size=10, **fields)


def linear(**fields: Any) -> JobSpec:
    return job(model={"kind": "linear"}, optimizer="exact", **fields)


def test_a_net_tells_of_every_step() -> None:
    told = Told()
    train(net(epochs=4), mixed(4), UNEVEN, watch=told.watch)
    told.check()
    assert told.by_epoch == [6, 11, 16, 21]  # five steps each, and that it begins
    assert told.shares[10] == pytest.approx(0.5)


def test_chunks_that_train_one_after_the_other_add_up() -> None:
    told = Told()
    trainer = trainer_of(net(epochs=2), UNEVEN)
    trainer.together = 2
    train_by(trainer, mixed(4), told.watch)
    told.check()
    assert told.shares == pytest.approx([step / 20 for step in range(21)])


def test_members_that_leave_early_have_nothing_left_to_do() -> None:
    told = Told()
    spec = net(epochs=200, early_stopping={"patience": 1})
    train(spec, [configuration("none", learning_rate=0.5)], UNEVEN, watch=told.watch)
    assert len(told.by_epoch) < 200
    assert all(before < after for before, after in pairwise(told.shares))


@pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")
def test_linear_models_one_by_one_tell_of_each_and_of_each_rung_of_their_ladders() -> None:
    told = Told()
    members = [configuration("l1", 10**-power) for power in (2, 3, 1)]
    train(linear(), members, UNEVEN, watch=told.watch)
    told.check()
    (first,) = told.by_epoch
    rungs = 3 * RUNGS_A_DECADE["classes"]  # to the least strength, about, on each fold
    assert first == pytest.approx(1 + 2 * (len(members) + rungs), abs=2 * RUNGS_A_DECADE["classes"])
    assert max(after - before for before, after in pairwise(told.shares)) < 2 / rungs


@pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")
def test_linear_models_in_parts_count_by_what_they_take() -> None:
    told = Told()
    problem = problem_of(linear(), UNEVEN)
    training.solver_of(problem).together = 1
    members = [configuration("l1", 1e-3), configuration("l1", 2e-3), configuration("l1", 3e-3)]
    training.train(problem, members, told.watch)
    told.check()
    assert told.shares[told.by_epoch[0] - 1] > 0.7  # the first climbs down the ladder for all


def test_linear_models_side_by_side_tell_of_their_rounds() -> None:
    told = Told()
    train(linear(epochs=200), mixed(5), UNEVEN, engine=SIDE_BY_SIDE, watch=told.watch)
    assert len(told.shares) > 3
    assert all(before < after <= 1 for before, after in pairwise(told.shares))


@pytest.mark.parametrize("kind", [net, linear])
def test_members_whose_strengths_are_no_numbers_do_not_matter(kind: Any) -> None:
    told = Told()
    members: Sequence[Configuration] = [
        configuration("l1", 0.01),
        configuration("elastic_net", float("nan")),
        configuration("l1", float("inf")),
    ]
    train(kind(epochs=3), members, UNEVEN, watch=told.watch)
    assert told.shares[-1] <= 1
    assert all(before < after for before, after in pairwise(told.shares))


def test_who_takes_over_begins_at_the_checkpoint_s_share() -> None:
    kept: list[PopulationState] = []
    first = Watch(keep=lambda state: kept.append(state()))
    train(net(epochs=4), mixed(3), UNEVEN, watch=first)
    told = Told()
    watch = replace(told.watch, start=lambda solver: kept[0])
    train(net(epochs=4), mixed(3), UNEVEN, watch=watch)
    assert told.shares[0] == pytest.approx(0.25)
    assert told.shares[-1] == pytest.approx(1)
