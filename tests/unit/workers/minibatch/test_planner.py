"""How many members share a step: measured where it pays, and nobody's bits depend on it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from populations import (
    CPU,
    job,
    made_up_fold,
    mixed,
    trainer_of,
)

from workers.heeding import Interrupted, heeding
from workers.loop.device import device_name
from workers.minibatch import planner
from workers.minibatch.planner import measured_together, shape_of
from workers.minibatch.trainer import Trainer


def trainer(**fields) -> Trainer:
    """Of a small net."""
    fields = {"model": {"kind": "mlp", "hidden": [8]}, **fields}
    return trainer_of(job(**fields), [made_up_fold(64), made_up_fold(48)], 1)


def costs(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> list[int]:
    """Let a member's step take so long in companies of these sizes; the sizes that are tried."""
    tried: list[int] = []

    def measured(trainer: Trainer, members: Sequence[object], batches: object) -> float:
        tried.append(len(members))
        return seconds[len(members)]

    monkeypatch.setattr(planner, "seconds_per_member", measured)
    return tried


def test_sizes_double_until_a_member_takes_no_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = costs(monkeypatch, {8: 10.0, 16: 6.0, 32: 4.0, 64: 3.9, 128: 3.85})
    assert measured_together(trainer(), mixed(8)) == 32
    assert tried == [8, 16, 32, 64, 128]


def test_one_slow_measurement_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    costs(monkeypatch, {8: 10.0, 16: 6.0, 32: 7.0, 64: 4.0, 128: 4.0, 256: 4.0})
    assert measured_together(trainer(), mixed(8)) == 64


def test_what_does_not_fit_into_memory_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    costs(monkeypatch, {8: 10.0, 16: math.inf})
    assert measured_together(trainer(), mixed(8)) == 8


def test_a_short_job_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = costs(monkeypatch, {8: 1e-6})
    assert measured_together(trainer(), mixed(8)) is None
    assert tried == [8]


def test_running_out_of_memory_while_measuring_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    own = trainer()
    real = own.train_epoch

    def small(chunk, batches):
        if len(chunk.members) > 16:
            raise torch.OutOfMemoryError("no room")
        return real(chunk, batches)

    monkeypatch.setattr(planner, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(planner, "MEASURING_SHARE", math.inf)
    monkeypatch.setattr(planner, "LEAST_GAIN", -math.inf)
    monkeypatch.setattr(own, "train_epoch", small)
    usual = own.together
    assert measured_together(own, mixed(8)) == 16
    assert own.together == usual


def test_a_stop_is_heeded_in_a_measurement() -> None:
    def stop() -> None:
        raise Interrupted

    with heeding(stop), pytest.raises(Interrupted):
        measured_together(trainer(), mixed(8))


def test_a_shape_knows_what_a_step_costs_and_not_whose_it_is() -> None:
    same = shape_of(trainer(seed=1, trials=7, search={"penalty": "l1"}))
    assert same == shape_of(trainer(seed=2, trials=9, search={"penalty": "none"}))
    others = [
        trainer(model={"kind": "mlp", "hidden": [9]}),
        trainer(batch_size=16),
        trainer(precision="float64"),
        trainer(optimizer="sgd"),
    ]
    assert len({same, *map(shape_of, others)}) == 5


def test_a_device_has_a_name() -> None:
    assert device_name(CPU).strip()
