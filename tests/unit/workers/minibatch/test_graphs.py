"""Captured steps do bitwise what steps do, on a CPU that repeats them as a device would."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from populations import (
    CPU,
    PERTURBED,
    PERTURBED_MEMBERS,
    THREE_CLASSES,
    assert_same_member,
    configuration,
    install_models,
    job,
    train_by,
    trainer_of,
)
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ridgeway.jobs.plan import Engine
from workers.backends import Mapped, StepBatch, dense, mapped
from workers.minibatch import graphs
from workers.minibatch.batches import Minibatches
from workers.minibatch.chunks import Chunk
from workers.minibatch.graphs import Graphs
from workers.minibatch.trainer import Trainer
from workers.penalties import newton
from workers.population.configuration import Configuration
from workers.population.results import PopulationResult

MODELS = """
from torch import nn

def Normed(i, o):
    return nn.Sequential(nn.Linear(i, 8), nn.LayerNorm(8), nn.Dropout(0.2), nn.Linear(8, o))

def BatchNorm(i, o):
    return nn.Sequential(nn.Linear(i, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, o))
"""
aten = torch.ops.aten
LAST = ["group_lasso", "sparse_group_lasso", "mcp", "scad", "l0.5"]


@pytest.fixture(autouse=True)
def _soon_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_models(tmp_path, monkeypatch, MODELS, ["Normed", "BatchNorm"])
    monkeypatch.setattr(graphs, "EAGER_STEPS", 3)


class Recorder:
    """A capture on a CPU. Nothing runs while it records; a replay is deaf to the host's seeds."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, call: Callable[[], None]) -> Callable[[], None]:
        self.captures += 1

        def replay() -> None:
            self.replays += 1
            with pytest.MonkeyPatch.context() as patch:
                for backend in (dense, mapped):
                    patch.setattr(backend, "seed_generator", lambda device, seed: None)
                call()

        return replay


def spec_of(kind: str, **fields: Any) -> Any:
    model: dict[str, Any] = {"kind": kind}
    search = {**PERTURBED, **fields.pop("search", {})}
    if kind == "mlp":
        model["hidden"] = [16, 8]
    if kind in ("mlp", "Normed"):
        search["dropout"] = {"low": 0, "high": 0.9}
    search.setdefault("penalty", ["none", "l1", "l2", "elastic_net"])
    fields = {"epochs": 3, "batch_size": 16, "clip_norm": 1.0, "schedule": "cosine", **fields}
    return job(model=model, search=search, **fields)


def skipping() -> Any:
    """Return a job of nets with a skip layer."""
    model = {"kind": "mlp", "hidden": [16, 8], "skip": True}
    return job(model=model, search={"penalty": ["none", "hierarchical"]}, epochs=3, batch_size=16)


def plain_trainer(spec: Any) -> Trainer:
    """Make a trainer without compiled kernels, as on a GPU."""
    return trainer_of(spec, THREE_CLASSES, 3, engine=Engine(device="cpu", compiled=False))


def trained(
    trainer: Trainer,
    capture: Callable[..., Any] | None,
    members: list[Configuration] = PERTURBED_MEMBERS,
) -> PopulationResult:
    trainer.graphs = Graphs(capture) if capture else None
    return train_by(trainer, members)


def assert_captured_is_eager(
    trainer: Trainer, members: list[Configuration] = PERTURBED_MEMBERS
) -> Recorder:
    recorder = Recorder()
    captured, eager = trained(trainer, recorder, members), trained(trainer, None, members)
    for member in range(len(members)):
        assert_same_member(captured, member, eager, member)
    return recorder


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", ["linear", "mlp", "Normed"])
def test_a_captured_training_ends_bitwise_where_an_eager_one_does(
    kind: str, optimizer: str
) -> None:
    recorder = assert_captured_is_eager(plain_trainer(spec_of(kind, optimizer=optimizer)))
    assert (recorder.captures, recorder.replays) == (1, 3 * 5 - 3)


@pytest.mark.parametrize("members", [PERTURBED_MEMBERS[1:2], PERTURBED_MEMBERS])
def test_buffers_that_training_changes_are_carried_from_replay_to_replay(
    members: list[Configuration],
) -> None:
    """Batches of a fold differ in size here, and a graph takes those of one size."""
    trainer = plain_trainer(spec_of("BatchNorm", epochs=5))
    trainer.backend = Mapped(trainer.backend.model, trainer.layout, trainer.problem.kind)
    recorder = assert_captured_is_eager(trainer, members)
    assert recorder.captures >= 2
    assert recorder.replays >= 20


def test_rounded_products_are_captured_too() -> None:
    recorder = assert_captured_is_eager(plain_trainer(spec_of("mlp", precision="bf16")))
    assert recorder.replays == 12


def test_members_that_leave_a_chunk_leave_a_smaller_one_to_capture() -> None:
    spec = spec_of("mlp", epochs=20, early_stopping={"patience": 1})
    members = [configuration("l1", 0.001, learning_rate=rate) for rate in (0.3, 0.1, 0.001, 0.0001)]
    recorder = assert_captured_is_eager(plain_trainer(spec), members)
    assert recorder.captures > 1


# --- what is captured, and when -------------------------------------------------------------------


def test_chunks_whose_step_asks_for_values_stay_eager() -> None:
    trainer = plain_trainer(skipping())
    members = [configuration(), configuration("hierarchical", 0.01)]
    assert assert_captured_is_eager(trainer, members).captures == 0
    assert assert_captured_is_eager(trainer, members[:1]).captures == 1


@pytest.mark.parametrize("penalty", LAST)
def test_steps_that_end_with_one_of_their_own_are_captured(penalty: str) -> None:
    spec = spec_of("mlp", search={"penalty": ["none", penalty]})
    members = [configuration(), configuration(penalty, 0.01, l1_ratio=0.5)]
    assert assert_captured_is_eager(plain_trainer(spec), members).captures == 1


def test_a_chunk_that_ends_before_a_capture_would_pay_is_never_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graphs, "EAGER_STEPS", 15)
    assert assert_captured_is_eager(plain_trainer(spec_of("mlp"))).captures == 0


def test_a_step_that_cannot_be_captured_is_taken_and_not_tried_again() -> None:
    tried: list[int] = []

    def refuse(call: object) -> Any:
        tried.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    trainer = plain_trainer(spec_of("mlp"))
    refused = trained(trainer, refuse)
    assert trainer.graphs is not None
    assert trainer.graphs.refused == "operation not permitted when stream is capturing"
    assert tried == [1]
    eager = trained(trainer, None)
    for member in range(len(PERTURBED_MEMBERS)):
        assert_same_member(refused, member, eager, member)


def test_memory_that_runs_out_in_a_capture_is_not_a_refusal() -> None:
    tried: list[int] = []

    def run_out(call: object) -> Any:
        tried.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    trainer = plain_trainer(spec_of("mlp"))
    with pytest.raises(MemoryError, match="one trial alone"):
        trained(trainer, run_out)
    assert len(tried) > 1  # fewer members were tried, as for any lack of memory


def test_a_graph_goes_with_its_chunk() -> None:
    spec = spec_of("linear")
    trainer = plain_trainer(spec)
    trainer.graphs = Graphs(lambda call: lambda: None)
    batches = Minibatches(trainer.problem.fold_rows, 16, 0, CPU).epoch()
    (chunk,) = trainer.chunks(PERTURBED_MEMBERS)
    trainer.train_epoch(chunk, batches)
    (graph,) = (weakref.ref(graph) for graph in trainer.graphs._graphs.values())
    gc.disable()
    try:
        assert graph() is not None
        del chunk
        assert graph() is None
    finally:
        gc.enable()


# --- nothing waits for the device -----------------------------------------------------------------


class NoSync(TorchDispatchMode):
    """Refuse what would wait for a device, or bring it numbers from the host."""

    REFUSED = frozenset(
        {
            aten._local_scalar_dense.default,
            aten.nonzero.default,
            aten.equal.default,
            aten.is_nonzero.default,
            aten.masked_select.default,
            aten.lift_fresh.default,
            aten._unique2.default,
            aten.repeat_interleave.Tensor,
            aten.bincount.default,
        }
    )

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # spares importing it

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in self.REFUSED or _by_mask(func, args) or _moved(args, given):
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **given)


def _by_mask(func: object, args: Any) -> bool:
    masks = (torch.bool, torch.uint8)
    return func in (aten.index.Tensor, aten.index_put_.default) and any(
        index is not None and index.dtype in masks for index in args[1]
    )


def _moved(args: Any, kwargs: dict[str, Any]) -> bool:
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    return any(kwargs.get("device") not in (None, tensor.device) for tensor in tensors)


def steps(trainer: Trainer, members: list[Configuration]) -> Iterator[tuple[Any, ...]]:
    (chunk,) = trainer.chunks(members)
    batches = Minibatches(trainer.problem.fold_rows, 16, 0, CPU).epoch()
    for batch in trainer.steps(chunk, batches):
        noisy = trainer.feed.with_noise(batch, chunk.steps)
        coefficients = trainer.next_coefficients(chunk, len(batches))
        yield chunk, noisy, coefficients, trainer.mask_seed + chunk.steps


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", ["linear", "mlp", "Normed"])
def test_a_step_waits_for_nothing(kind: str, optimizer: str) -> None:
    search = {"penalty": ["none", "l1", "l2", "elastic_net", "group_lasso"]}
    trainer = plain_trainer(spec_of(kind, optimizer=optimizer, search=search))
    for chunk, batch, coefficients, seed in steps(trainer, PERTURBED_MEMBERS):
        with NoSync():
            trainer.take_step(chunk, batch, coefficients, seed)


@pytest.mark.parametrize("penalty", LAST)
def test_a_step_of_its_own_waits_for_nothing_while_it_is_captured(
    penalty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = plain_trainer(spec_of("mlp", search={"penalty": ["none", penalty]}))
    members = [configuration(), configuration(penalty, 0.01, l1_ratio=0.5)]
    chunk, batch, coefficients, seed = next(steps(trainer, members))
    chunk.prepare()
    monkeypatch.setattr(newton, "_captured", lambda weights: True)
    with NoSync():
        trainer.take_step(chunk, batch, coefficients, seed)


def test_a_step_of_a_skip_layer_would_wait() -> None:
    trainer = plain_trainer(skipping())
    chunk, batch, coefficients, seed = next(steps(trainer, [configuration("hierarchical", 0.01)]))
    chunk.prepare()
    with pytest.raises(AssertionError, match="waits for the device"), NoSync():
        trainer.take_step(chunk, batch, coefficients, seed)


def test_a_graph_reads_what_it_is_given_and_returns_that_steps_losses() -> None:
    seen: list[Tensor] = []

    def step(chunk: Chunk, batch: StepBatch, coefficients: Tensor, seed: int) -> Tensor:
        seen.extend((batch.inputs.clone(), coefficients.clone()))
        return batch.inputs.sum((1, 2))[:, None].expand(-1, len(PERTURBED_MEMBERS))

    graphed = Graphs(Recorder())
    given: list[Tensor] = []
    for chunk, batch, coefficients, seed in steps(
        plain_trainer(spec_of("linear")), PERTURBED_MEMBERS
    ):
        given.extend((batch.inputs, coefficients))
        losses = graphed.take(step, chunk, batch, coefficients, seed)
        assert torch.equal(losses[:, 0], batch.inputs.sum((1, 2)))
    assert len(seen) == len(given) == 10
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(seen, given, strict=True))
