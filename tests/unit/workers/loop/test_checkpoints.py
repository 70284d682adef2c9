"""A population that goes on from a checkpoint ends as if it had never been interrupted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from populations import (
    NET,
    NORMED,
    SIDE_BY_SIDE,
    UNEVEN,
    assert_same_results,
    configuration,
    install_models,
    job,
    mixed,
    refit,
    same_bits,
    train,
)

from ridgeway.data.store import Store
from ridgeway.errors import LeaseLost
from ridgeway.jobs.leases import Lease
from ridgeway.spec.spec import JobSpec
from workers.loop import checkpoints as checkpoints_module
from workers.loop.checkpoints import Checkpoints
from workers.population.configuration import Configuration
from workers.population.results import PopulationResult, TrainedModels
from workers.population.watch import Rung, Watch


class Stopped(Exception):
    """The worker was told to stop."""


def lease(checkpoint: str | None = None, fence: int = 1) -> Lease:
    return Lease(
        id=3,
        kind="population",
        job_id="0198f2c1-0000-7000-8000-000000000001",
        study_id=1,
        stored_spec={},
        dataset_id=None,
        plan=None,
        ordinal=0,
        size=6,
        first_number=0,
        fence=fence,
        checkpoint=checkpoint,
    )


class Row:
    """A lease's row: where its population left off."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.addresses: list[str] = []

    def record(self, address: str) -> str | None:
        before, self.address = self.address, address
        self.addresses.append(address)
        return before


def held(
    store: Store, row: Row, members: Sequence[Configuration], *, every: float = 0.0, **fields: Any
) -> Checkpoints:
    options = {"record": row.record, "stopping": lambda: False, "lease": lease(row.address)}
    options["earlier"] = row.address
    return Checkpoints(store=store, members=members, every_seconds=every, **{**options, **fields})


def watched(held: Checkpoints, **options: Any) -> Watch:
    return Watch(keep=held.keep, start=held.start, **options)


def files(store: Store, tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.safetensors"))


def interrupted(
    spec: JobSpec,
    members: Sequence[Configuration],
    store: Store,
    stops: Sequence[int],
    prune: Callable[[Rung], Sequence[int]] = lambda rung: (),
    rungs: Sequence[int] = (),
    **options: Any,
) -> tuple[PopulationResult, Row]:
    """A training that is stopped after these epochs, each time taken up by another worker."""
    row = Row()
    for stop in stops:

        def stopping(done: int, of: int, last: int = stop) -> None:
            if done == last:
                raise Stopped

        watch = watched(held(store, row, members), rungs=rungs, prune=prune)
        with pytest.raises(Stopped):
            train(spec, list(members), UNEVEN, watch=watch, on_epoch=stopping, **options)
    watch = watched(held(store, row, members), rungs=rungs, prune=prune)
    return train(spec, list(members), UNEVEN, watch=watch, **options), row


def assert_same_to_the_notes(left: PopulationResult, right: PopulationResult) -> None:
    assert_same_results(left, right)
    assert left.notes == right.notes


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("patience", [None, 3])
def test_a_resumed_population_is_bitwise_an_uninterrupted_one(
    optimizer: str, patience: int | None, tmp_path: Path
) -> None:
    spec = job(
        model=NET,
        optimizer=optimizer,
        schedule="cosine",
        epochs=14,
        batch_size=25,
        input_noise=0.1,
        early_stopping=patience and {"patience": patience},
    )
    members = [*mixed(6), configuration(learning_rate=1e30)]
    whole = train(spec, members, UNEVEN)
    assert whole.diverged_at[6] > 0
    result, row = interrupted(spec, members, Store(str(tmp_path)), [1, 7])
    assert_same_to_the_notes(result, whole)
    assert len(row.addresses) > 9
    if patience:
        assert whole.member_epochs[:6].min() < 14


def test_models_with_batch_statistics_and_pruned_members_are_resumed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_models(tmp_path, monkeypatch, NORMED, ["normed"])
    spec = job(model={"kind": "normed"}, epochs=6, batch_size=25)
    asked: list[int] = []

    def prune(rung: Rung) -> list[int]:
        asked.append(rung.epoch)
        return [1] if rung.epoch == 2 else [0]

    whole = train(spec, mixed(4), UNEVEN, watch=Watch(rungs=(2, 4), prune=prune))
    asked.clear()
    store = Store(str(tmp_path / "store"))
    result, _ = interrupted(spec, mixed(4), store, [2, 3, 5], prune, (2, 4))
    assert asked == [2, 4]  # each rung once
    assert_same_to_the_notes(result, whole)


def test_parts_that_have_not_begun_are_part_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.minibatch.trainer.MEMORY_FLOATS", 2**11)
    spec = job(model=NET, epochs=4, batch_size=25)
    whole = train(spec, mixed(5), UNEVEN)
    ends: list[tuple[int, int]] = []
    train(spec, mixed(5), UNEVEN, on_epoch=lambda done, of: ends.append((done, of)))
    assert ends[-1][0] > 4  # several parts
    result, _ = interrupted(spec, mixed(5), Store(str(tmp_path)), [3, 6])
    assert_same_to_the_notes(result, whole)


@pytest.mark.parametrize("at_once", [2**27, 2**13])
def test_linear_models_on_their_way_to_the_optimum_are_resumed_too(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.fullbatch.solver.MEMORY_FLOATS", at_once)
    spec = job(optimizer="exact", model={"kind": "linear"}, epochs=6, precision="float64")
    members = [*mixed(6), configuration(label_smoothing=math.inf)]
    options: dict[str, Any] = {"dtype": torch.float64, "engine": SIDE_BY_SIDE}
    whole = train(spec, members, UNEVEN, **options)
    assert whole.diverged_at[6] == 1
    assert whole.member_epochs[:6].min() < whole.member_epochs.max()
    result, row = interrupted(spec, members, Store(str(tmp_path)), [1, 3], **options)
    assert_same_to_the_notes(result, whole)
    assert len(row.addresses) > 3


@pytest.mark.parametrize("optimizer", ["adamw", "exact"])
def test_refits_are_resumed_too(optimizer: str, tmp_path: Path) -> None:
    spec = job(optimizer=optimizer, model={"kind": "linear"}, epochs=6, precision="float64")
    members, store, row = mixed(4), Store(str(tmp_path)), Row()
    lengths = [2, 6, 4, 6]
    engine = SIDE_BY_SIDE if optimizer == "exact" else None

    def refitted(stop: int = 0, **options: Any) -> TrainedModels:
        def stopping(done: int, of: int) -> None:
            if done == stop:
                raise Stopped

        own = {"epochs": lengths, "on_epoch": stopping, "engine": engine}
        return refit(spec, members, UNEVEN[0], **own, **options)

    whole = refitted()
    with pytest.raises(Stopped):
        refitted(3, watch=watched(held(store, row, members)))
    assert row.address is not None
    result = refitted(watch=watched(held(store, row, members)))
    for name, value in whole.states.items():
        assert same_bits(value, result.states[name]), name
    assert np.array_equal(whole.settled, result.settled)


# --- when, and how long ---------------------------------------------------------------------------


def test_each_checkpoint_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    store, row = Store(str(tmp_path)), Row()
    spec = job(model={"kind": "linear"}, epochs=5)
    train(spec, mixed(3), UNEVEN, watch=watched(held(store, row, mixed(3))))
    assert len(set(row.addresses)) == 4  # nobody goes on from the last epoch
    assert files(store, tmp_path) == [row.address]
    assert "checkpoints/3-1-" in str(row.address)


def test_nothing_is_written_before_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store = job(model={"kind": "linear"}, epochs=6), Store(str(tmp_path))
    clock = iter(range(1000))
    seconds = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(checkpoints_module, "time", seconds)

    def written(every: float, *, stopping: bool = False) -> int:
        row = Row()
        own = held(store, row, mixed(3), every=every, stopping=lambda: stopping)
        train(spec, mixed(3), UNEVEN, watch=watched(own))
        return len(row.addresses)

    assert written(3.0) == 1
    assert written(60.0) == 0
    assert written(60.0, stopping=True) == 1  # what is worth some seconds is handed over


def test_a_store_that_is_away_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object) -> str:
        raise TimeoutError("the store does not answer")

    monkeypatch.setattr(Store, "put", away)
    row, spec = Row(), job(model={"kind": "linear"}, epochs=3)
    watch = watched(held(Store(str(tmp_path)), row, mixed(3)))
    assert_same_to_the_notes(
        train(spec, mixed(3), UNEVEN, watch=watch), train(spec, mixed(3), UNEVEN)
    )
    assert row.addresses == []


def test_a_holder_that_has_lost_its_lease_leaves_nothing_behind(tmp_path: Path) -> None:
    def lost(address: str) -> str | None:
        raise LeaseLost

    store, spec = Store(str(tmp_path)), job(model={"kind": "linear"}, epochs=3)
    with pytest.raises(LeaseLost):
        train(spec, mixed(3), UNEVEN, watch=watched(held(store, Row(), mixed(3), record=lost)))
    assert files(store, tmp_path) == []


# --- checkpoints that are no use ------------------------------------------------------------------


def take_over_with(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """From here on trainers say that they compute in another way; on a CPU all the same."""
    another = {
        "device": {"device": "cuda"},
        "backend": {"backend": "vmap"},
        "kernels": {"compiled": None},
    }
    real = checkpoints_module.identity

    def identity(solver: Any, members: Sequence[Configuration]) -> str:
        changed = copy(solver)
        changed.engine = solver.engine.model_copy(update=another.get(what, {}))
        return real(changed, members)

    monkeypatch.setattr(checkpoints_module, "identity", identity)


@pytest.mark.parametrize(
    "harm", ["bits", "cut", "gone", "another", "seed", "torch", "device", "backend", "kernels"]
)
def test_a_checkpoint_that_is_no_use_is_ignored_with_a_warning(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, row, members = Store(str(tmp_path)), Row(), mixed(3)
    spec = job(model={"kind": "linear"}, epochs=4)
    train(spec, members, UNEVEN, watch=watched(held(store, row, members)))
    assert row.address is not None
    path = tmp_path / row.address
    data = bytearray(path.read_bytes())
    if harm == "bits":
        data[-1] ^= 1
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(data[:-100])
    elif harm == "gone":
        path.unlink()
    elif harm == "another":
        members = mixed(4)[1:]
    elif harm == "torch":
        monkeypatch.setattr(torch, "__version__", "0.4.1")
    else:
        take_over_with(monkeypatch, harm)
    seed = 1 if harm == "seed" else 0
    expected = train(spec, members, UNEVEN, seed=seed)
    epochs: list[int] = []
    result = train(
        spec,
        members,
        UNEVEN,
        seed=seed,
        watch=Watch(start=held(store, row, members).start),
        on_epoch=lambda done, of: epochs.append(done),
    )
    assert epochs == [1, 2, 3, 4]
    assert_same_to_the_notes(result, expected)
    assert "trains anew" in caplog.text


def test_bytes_that_are_no_checkpoint_are_told_from_others(tmp_path: Path) -> None:
    checksum = checkpoints_module.sha256(b"\x08")
    with pytest.raises(ValueError, match="no checkpoint"):
        checkpoints_module.state_of(b"\x08", "mine", checksum)
