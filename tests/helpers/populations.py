"""Small jobs, folds and configurations for tests of training."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ridgeway.jobs.plan import Engine
from ridgeway.spec.names import PENALTY_NAMES, penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from workers import train as training
from workers.backends import Backend, Mapped
from workers.backends.compiled import Compiled
from workers.backends.dense import Dense
from workers.backends.fused import Fused
from workers.backends.in_turn import InTurn
from workers.data.folds import Fold
from workers.kernels import Library, load
from workers.minibatch.trainer import Trainer
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels
from workers.population.watch import Watch
from workers.train import solver_of

CPU = torch.device("cpu")
BACKENDS: dict[str, type[Backend]] = {
    each.name: each for each in (Fused, Dense, Mapped, Compiled, InTurn)
}
library = load(torch.float32)
if not (isinstance(library, Library) and library.fast):  # there is no C compiler, or an old machine
    del BACKENDS[Fused.name]
if shutil.which("g++") is None:
    del BACKENDS[Compiled.name]


def job(**fields: Any) -> JobSpec:
    """A resolved spec of a classification by default, its weight decay searched."""
    search = {"weight_decay": {"low": 0.0, "high": 1.0}, **fields.pop("search", {})}
    if fields.get("optimizer") == "exact":
        del search["weight_decay"]
    return parse_spec({"dataset": "made up", "task": "classification", "search": search, **fields})


def configuration(penalty: str = "none", strength: float = 0.0, **fields: float) -> Configuration:
    defaults = {"l1_ratio": 0.5, "learning_rate": 0.01, "weight_decay": 0.0}
    return Configuration(penalty, strength, **{**defaults, **fields})  # type: ignore[arg-type]


# Penalties that optimizers step by step know, of any net.
STEPPED = [
    name
    for name in PENALTY_NAMES
    if penalty_row(name).optimizers is None and not penalty_row(name).needs_skip
]


def mixed(members: int) -> list[Configuration]:
    """Members of every penalty, each with hyperparameters of its own."""
    return [
        configuration(
            STEPPED[member % len(STEPPED)],
            10 ** (-1 - member % 4),
            l1_ratio=0.1 + 0.8 * member / members,
            learning_rate=10 ** (-1.2 - member % 3 / 2),
            weight_decay=10 ** (-2 - member % 2),
        )
        for member in range(members)
    ]


def made_up_fold(
    rows: int = 50, *, inputs: int = 5, classes: int = 2, valid: int = 20, seed: int = 0
) -> Fold:
    """Rows whose class (or, with classes=0, number) depends on the first two inputs."""
    draw = torch.Generator().manual_seed(seed)
    data = torch.randn(rows + valid, inputs, generator=draw)
    signal = data[:, 0] - 0.5 * data[:, 1] + 0.3 * torch.randn(rows + valid, generator=draw)
    if classes == 0:
        mean, scale = 10.0, 4.0
        return Fold(
            data[:rows], signal[:rows], data[rows:], mean + scale * signal[rows:], mean, scale
        )
    edges = signal.quantile(torch.linspace(0, 1, classes + 1)[1:-1])
    targets = torch.bucketize(signal, edges)
    return Fold(data[:rows], targets[:rows], data[rows:], targets[rows:], 0.0, 1.0)


# Linear models in rounds of batched steps, as where there are no kernels: they arrive one by one.
SIDE_BY_SIDE = Engine(backend="fista")

# Two folds of unequal length, and a small net with dropout.
UNEVEN = [made_up_fold(50, seed=1), made_up_fold(43, valid=27, seed=2)]
NET = {"kind": "mlp", "hidden": [7], "dropout": 0.2}

# A plug-in's source: a model with batch statistics.
NORMED = """
from torch import nn
def normed(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Linear(4, outputs))
"""

# A job's search, and members that differ in it, on folds of unequal length.
PERTURBED = {"label_smoothing": {"low": 0, "high": 1}, "input_noise": {"low": 0, "high": 1}}
PERTURBED_MEMBERS = [
    configuration("none", label_smoothing=0.1, dropout=0.1),
    configuration("l1", 0.02, input_noise=0.3, dropout=0.5, weight_decay=0.01),
    configuration("l2", 0.1, learning_rate=0.003, label_smoothing=0.3),
    configuration("elastic_net", 0.05, input_noise=0.1, dropout=0.3),
]
THREE_CLASSES = [
    made_up_fold(80, inputs=8, classes=3, seed=1),
    made_up_fold(71, inputs=8, classes=3),
]


def one_fold(inputs: Any, targets: Any) -> Fold:
    """A fold that is judged by its training rows; inputs and a real target get standardised."""
    x = np.asarray(inputs, dtype=np.float64)
    y = np.asarray(targets)
    data = torch.tensor((x - x.mean(0)) / x.std(0))
    if y.dtype.kind == "f":
        mean, scale = float(y.mean()), float(y.std())
        return Fold(data, torch.tensor((y - mean) / scale), data, torch.tensor(y), mean, scale)
    labels = torch.tensor(y, dtype=torch.int64)
    return Fold(data, labels, data, labels, 0.0, 1.0)


def problem_of(
    spec: JobSpec,
    folds: Sequence[Fold],
    outputs: int = 1,
    *,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    engine: Engine | None = None,
    device: torch.device = CPU,
) -> Problem:
    """A problem on the CPU; with another precision or seed than the spec's where one is given."""
    changed: dict[str, Any] = {"seed": seed}
    if dtype is not None:
        changed["precision"] = {torch.float32: "float32", torch.float64: "float64"}[dtype]
    return Problem(spec.model_copy(update=changed), folds, outputs, device, engine or Engine())


def trainer_of(spec: JobSpec, folds: Sequence[Fold], outputs: int = 1, **options: Any) -> Trainer:
    """The trainer of such a problem."""
    made = solver_of(problem_of(spec, folds, outputs, **options))
    assert isinstance(made, Trainer)
    return made


def train_by(
    trainer: Trainer, members: Sequence[Configuration], watch: Watch | None = None
) -> PopulationResult:
    """Train by a trainer that a test has changed."""
    problem = replace(trainer.problem)
    problem.solver(lambda own: trainer)
    return training.train(problem, members, watch)


def train(
    spec: JobSpec,
    members: Sequence[Configuration],
    folds: Sequence[Fold],
    outputs: int = 1,
    *,
    watch: Watch | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
    **options: Any,
) -> PopulationResult:
    """Train on such a problem; on_epoch takes the place of the watch's."""
    problem = problem_of(spec, folds, outputs, **options)
    return training.train(problem, members, _told(watch, on_epoch))


def refit(
    spec: JobSpec,
    members: Sequence[Configuration],
    fold: Fold,
    outputs: int = 1,
    *,
    epochs: Sequence[int] | None = None,
    watch: Watch | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
    **options: Any,
) -> TrainedModels:
    """Refit on one fold of such a problem."""
    problem = problem_of(spec, [fold], outputs, **options)
    return training.refit(problem, members, epochs, _told(watch, on_epoch))


def _told(watch: Watch | None, on_epoch: Callable[[int, int], None] | None) -> Watch:
    watch = watch or Watch()
    return watch if on_epoch is None else replace(watch, on_epoch=on_epoch)


def using(backend: str) -> Engine:
    """Return the engine of a job that is planned with this backend."""
    return Engine(device="cpu", backend=backend)


def own_notes(notes: Sequence[str]) -> list[str]:
    """But for the one that every job has where there is no C compiler."""
    return [note for note in notes if "without compiled kernels" not in note]


def same_bits(left: Tensor, right: Tensor) -> bool:
    """Equal to the last bit, NaN included."""
    whole = {torch.float32: torch.int32, torch.float64: torch.int64}
    if left.dtype not in whole:
        return torch.equal(left, right)
    bits = whole[left.dtype]
    return torch.equal(left.contiguous().view(bits), right.contiguous().view(bits))


def assert_same_results(left: PopulationResult, right: PopulationResult) -> None:
    """Compare every array and every model of two results bit by bit; their notes may differ."""
    for name, value in vars(left).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, getattr(right, name), equal_nan=True), name
    for name, value in left.states.items():
        assert same_bits(value, right.states[name]), name


def assert_same_member(left: PopulationResult, i: int, right: PopulationResult, j: int) -> None:
    for name in ("curves", "values", "fold_values", "standard_errors", "nonzero_weights"):
        ours, theirs = getattr(left, name)[i], getattr(right, name)[j]
        assert np.array_equal(ours, theirs, equal_nan=True), name
    for fold in range(left.fold_values.shape[1]):
        theirs = right.parameters(j, fold)
        for name, value in left.parameters(i, fold).items():
            assert same_bits(value, theirs[name]), name


def install_models(
    folder: Path, monkeypatch: pytest.MonkeyPatch, source: str, names: Sequence[str]
) -> None:
    """A package beside the workers that offers models, found by its real metadata."""
    info = folder / "some_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-models\nVersion: 1.0\n")
    lines = [f"{name} = some_models:{name}" for name in names]
    (info / "entry_points.txt").write_text("[ridgeway.models]\n" + "\n".join(lines) + "\n")
    (folder / "some_models.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "some_models", raising=False)
