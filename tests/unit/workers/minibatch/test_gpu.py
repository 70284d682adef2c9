"""What only a CUDA device can show: captured steps, rounding on its cores, agreement with a CPU."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
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
    train,
    train_by,
    trainer_of,
)
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.minibatch.batches import Minibatches
from workers.minibatch.graphs import CudaCapture, Graphs
from workers.minibatch.trainer import Trainer
from workers.models.building import predict
from workers.optimizers.precision import exact_products, products_of
from workers.population.configuration import Configuration
from workers.population.results import PopulationResult
from workers.transfers import Arriving

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

GPU = torch.device("cuda", 0)
ROOT = Path(__file__).parents[4]
MODELS = """
from torch import nn

def Normed(i, o):
    return nn.Sequential(nn.Linear(i, 16), nn.LayerNorm(16), nn.Dropout(0.2), nn.Linear(16, o))

def Conv(i, o):
    convolution = nn.Unflatten(1, (1, i)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*convolution, nn.Linear(4 * (i - 2), o))

def BatchNorm(i, o):
    return nn.Sequential(nn.Linear(i, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, o))
"""


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_models(tmp_path, monkeypatch, MODELS, ["Normed", "Conv", "BatchNorm"])


def spec_of(kind: str, **fields: Any) -> Any:
    options = {"hidden": [16, 8]} if kind == "mlp" else {}
    search = {"penalty": ["none", "l1", "l2", "elastic_net"], **fields.pop("search", {})}
    if kind in ("mlp", "Normed") and "label_smoothing" in search:
        search["dropout"] = {"low": 0, "high": 0.9}
    fields = {"epochs": 3, "batch_size": 16, "clip_norm": 1.0, "schedule": "cosine", **fields}
    return job(model={"kind": kind, **options}, search=search, **fields)


class Counted:
    """A CUDA capture that counts its graphs."""

    def __init__(self) -> None:
        self.count, self._capture = 0, CudaCapture(GPU)

    def __call__(self, call: Callable[[], None]) -> Callable[[], None]:
        replay = self._capture(call)
        self.count += 1
        return replay


def trained(
    trainer: Trainer, graphs: Graphs | None, members: list[Configuration] = PERTURBED_MEMBERS
) -> PopulationResult:
    trainer.graphs = graphs
    return train_by(trainer, members)


def assert_captured_is_eager(
    trainer: Trainer, members: list[Configuration] = PERTURBED_MEMBERS
) -> int:
    """Compare captured with eager training; return the number of captures."""
    capture = Counted()
    ours = Graphs(capture)
    captured, eager = trained(trainer, ours, members), trained(trainer, None, members)
    assert ours.refused is None
    for member in range(len(members)):
        assert_same_member(captured, member, eager, member)
    return capture.count


# --- captured steps -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", ["linear", "mlp", "Normed"])
def test_captured_training_is_bitwise_the_eager_one(kind: str, optimizer: str) -> None:
    trainer = trainer_of(
        spec_of(kind, optimizer=optimizer, search=PERTURBED), THREE_CLASSES, 3, device=GPU
    )
    assert trainer.graphs is not None
    assert assert_captured_is_eager(trainer) == 1


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_rounded_training_is_captured_too(precision: str) -> None:
    trainer = trainer_of(spec_of("mlp", precision=precision), THREE_CLASSES, 3, device=GPU)
    assert assert_captured_is_eager(trainer) == 1


def test_smaller_chunks_are_captured_in_the_memory_of_those_that_went() -> None:
    spec = spec_of("mlp", epochs=20, early_stopping={"patience": 1}, schedule="constant")
    rates = (0.3, 0.1, 0.001, 0.0001)
    members = [configuration("l1", 0.001, learning_rate=rate) for rate in rates]
    assert assert_captured_is_eager(trainer_of(spec, THREE_CLASSES, 3, device=GPU), members) > 1


@pytest.mark.parametrize("penalty", ["group_lasso", "sparse_group_lasso", "mcp", "scad", "l0.5"])
def test_steps_that_end_with_one_of_their_own_are_captured(penalty: str) -> None:
    trainer = trainer_of(
        spec_of("mlp", search={"penalty": ["none", penalty]}), THREE_CLASSES, 3, device=GPU
    )
    members = [configuration(), configuration(penalty, 0.01, l1_ratio=0.5)]
    assert assert_captured_is_eager(trainer, members) == 1


def test_models_in_turn_and_skip_layers_stay_eager() -> None:
    model = {"kind": "mlp", "hidden": [16, 8], "skip": True}
    spec = job(model=model, search={"penalty": ["none", "hierarchical"]}, epochs=3, batch_size=16)
    trainer = trainer_of(spec, THREE_CLASSES, 3, device=GPU)
    members = [configuration(), configuration("hierarchical", 0.01)]
    assert assert_captured_is_eager(trainer, members) == 0
    assert assert_captured_is_eager(trainer, members[:1]) == 1
    assert trainer_of(spec_of("BatchNorm"), THREE_CLASSES, 3, device=GPU).graphs is None


def test_a_capture_that_fails_leaves_stream_and_generator_as_they_were() -> None:
    capture = CudaCapture(GPU)
    numbers = torch.ones(3, device=GPU)
    stream = torch.cuda.current_stream(GPU)

    def ask() -> None:
        torch.rand(3, device=GPU)
        numbers.sum().item()

    with torch.random.fork_rng(devices=[GPU]):
        torch.cuda.manual_seed(5)
        expected = torch.rand(3, device=GPU)
        with pytest.raises(RuntimeError):
            capture(ask)
        assert torch.cuda.current_stream(GPU) == stream
        torch.cuda.manual_seed(5)
        assert torch.equal(torch.rand(3, device=GPU), expected)
        replay = CudaCapture(GPU)(lambda: numbers.add_(1))  # another job's succeeds
    assert numbers.tolist() == [1, 1, 1]
    replay()
    assert numbers.tolist() == [2, 2, 2]


@contextmanager
def no_waiting() -> Iterator[None]:
    """Raise where anything waits for the device."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode of torch's is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_host_waits_for_nothing_in_a_step() -> None:
    trainer = trainer_of(spec_of("mlp", search=PERTURBED), THREE_CLASSES, 3, device=GPU)
    (chunk,) = trainer.chunks(PERTURBED_MEMBERS)
    batch = trainer.feed.with_noise(
        next(iter(trainer.feed.epoch(trainer.feed.full_batches, (0, 1)))), 0
    )
    coefficients = trainer.coefficients(chunk, 0, 2, 5)
    trainer.take_step(chunk, batch, coefficients[0], 1)  # libraries start
    with no_waiting():
        trainer.take_step(chunk, batch, coefficients[1], 2)


def test_the_host_waits_for_nothing_in_an_epoch_and_its_scores() -> None:
    trainer = trainer_of(spec_of("mlp"), THREE_CLASSES, 3, device=GPU)
    (chunk,) = trainer.chunks([configuration("l1", 0.01), configuration()])
    minibatches = Minibatches(trainer.problem.fold_rows, 16, 0, trainer.feed.home)

    def epoch() -> tuple[Arriving, Arriving]:
        healthy = trainer.train_epoch(chunk, minibatches.epoch())
        return Arriving(healthy), trainer.judge.arriving(chunk, with_errors=False)

    for _ in range(3):  # libraries start, and the step is captured
        epoch()
    with no_waiting():
        trained, scored = epoch()
    (healthy,) = trained.tensors()
    values, _, finite = scored.tensors()
    assert healthy.all()
    assert finite.all()
    assert torch.equal(values, trainer.judge.scores(chunk, with_errors=False).values)


# --- the same as on a CPU -------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", ["linear", "mlp", "Conv", "BatchNorm"])
def test_a_population_learns_on_a_gpu_what_it_learns_on_a_cpu(kind: str, optimizer: str) -> None:
    penalties = ["none", "l1", "l2", "elastic_net", "group_lasso"]
    spec = spec_of(
        kind,
        optimizer=optimizer,
        search={"penalty": penalties},
        epochs=10,  # 50 steps
        # Adam makes whole steps of the rounding that is all of a bias's gradient before a
        # normalisation, unless it is small beside epsilon.
        precision="float64" if kind == "BatchNorm" else "float32",
    )
    members = [configuration(penalty, 0.01, learning_rate=0.01) for penalty in penalties]
    gpu, cpu = (train(spec, members, THREE_CLASSES, 3, device=d) for d in (GPU, CPU))
    assert np.allclose(gpu.curves, cpu.curves, rtol=1e-4)


# --- rounding -------------------------------------------------------------------------------------


def rows(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(GPU)


def mapped(weight: Tensor, inputs: Tensor) -> Tensor:
    layer = nn.Linear(weight.shape[2], weight.shape[1], bias=False)
    return vmap(lambda own, x: functional_call(layer, {"weight": own}, (x,)))(weight, inputs)


def with_out(left: Tensor, right: Tensor) -> Tensor:
    """Multiply into a row of numbers, as a gradient is written."""
    out = left.new_zeros(len(left), left.shape[1] * right.shape[2] + 16)
    place = out[:, :-16].unflatten(1, (left.shape[1], right.shape[2]))
    torch.bmm(left, right, out=place)
    return place


PRODUCTS: dict[str, tuple[Callable[..., Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "mm": (torch.mm, (64, 512), (512, 64)),
    "bmm": (torch.bmm, (3, 64, 512), (3, 512, 64)),
    "bmm.out": (with_out, (3, 64, 512), (3, 512, 64)),
    "addmm": (lambda a, b: torch.addmm(a.new_ones(64), a, b), (64, 512), (512, 64)),
    "baddbmm": (
        lambda a, b: torch.baddbmm(a.new_ones(3, 1, 64), a, b),
        (3, 64, 512),
        (3, 512, 64),
    ),
    "conv": (nn.functional.conv1d, (20, 30, 200), (40, 30, 5)),
    "vmap": (mapped, (3, 64, 512), (3, 64, 512)),
}


def error(found: Tensor, exact: Tensor) -> float:
    """Return the error relative to the result's size."""
    return ((found.double() - exact.double()).norm() / exact.double().norm()).item()


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_rounded_as_the_precision_says(name: str) -> None:
    product, *shapes = PRODUCTS[name]
    left, right = (rows(*shape) for shape in shapes)
    exact = product(left.double(), right.double())
    errors: dict[str, float] = {}
    for precision in ("float32", "tf32", "bf16"):
        with products_of(precision, GPU):
            found = product(left, right)
        assert found.dtype == torch.float32
        errors[precision] = error(found, exact)
    assert errors["float32"] < 1e-6
    assert 3e-4 < errors["bf16"] < 1e-2
    assert errors["tf32"] < 1e-3
    if torch.cuda.get_device_capability(GPU) >= (8, 0) and name != "conv":  # cuDNN may choose
        assert errors["tf32"] > 1e-5
    with exact_products():
        assert error(product(left, right), exact) < 1e-6


@pytest.mark.parametrize("name", ["mm", "bmm", "addmm", "baddbmm", "vmap"])
def test_bf16_sums_in_float32_forward_and_backward(name: str) -> None:
    product, *shapes = PRODUCTS[name]
    left, right = (rows(*shape) for shape in shapes)
    slope = rows(*product(left, right).shape)

    def both(left: Tensor, slope: Tensor, right: Tensor) -> list[Tensor]:
        factor = right.clone().requires_grad_()
        result = product(left, factor)
        return [result.detach(), *torch.autograd.grad(result, factor, slope)]

    with products_of("bf16", GPU):
        found = both(left, slope, right)
    rounded = [tensor.bfloat16().double() for tensor in (left, slope, right)]
    for ours, expected in zip(found, both(*rounded), strict=True):
        assert error(ours, expected) < 1e-6


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
@pytest.mark.parametrize("kind", ["mlp", "Conv"])
def test_a_rounded_job_stays_near_the_float32_job_and_is_judged_in_float32(
    kind: str, precision: str
) -> None:
    members, fold = [configuration("l2", 0.01)], THREE_CLASSES[0]
    spec = spec_of(kind, precision=precision)
    rounded = train(spec, members, [fold], 3, device=GPU)
    exact = train(spec_of(kind), members, [fold], 3, device=GPU)
    assert np.allclose(rounded.curves, exact.curves, rtol=0.02)
    if precision == "bf16":
        assert not np.array_equal(rounded.curves, exact.curves)
    logits = predict(spec, rounded.parameters(0, 0), fold.valid_inputs, 3)
    loss = nn.functional.cross_entropy(logits.cpu(), fold.valid_targets).item()
    assert rounded.values[0] == pytest.approx(loss, rel=1e-5)


# --- the benchmark --------------------------------------------------------------------------------


def test_the_benchmark_of_populations_runs_on_a_gpu() -> None:
    options = "--device cuda --model linear --population 8 --rows 256 --seconds 0.05 --repeats 1"
    command = [sys.executable, str(ROOT / "benchmarks/populations.py"), *options.split(), "--json"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert '"device": "cuda"' in ended.stdout
