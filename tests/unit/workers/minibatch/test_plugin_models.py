"""Models of plug-ins: shared, frozen and missing parameters, buffers, and code that exits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from populations import (
    BACKENDS,
    UNEVEN,
    assert_same_member,
    configuration,
    install_models,
    job,
    mixed,
    train,
    using,
)
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from workers.backends import Backend, Dense, InTurn, Models, StepBatch
from workers.models.building import build_model, predict
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters

SOURCE = """
import sys
import torch
from torch import nn

def repeated_activation(inputs, outputs):
    act = nn.Tanh()
    hidden = nn.Linear(inputs, 4), act, nn.Linear(4, 4), act
    return nn.Sequential(*hidden, nn.Linear(4, outputs))

def repeated_layer(inputs, outputs):
    layer = nn.Linear(inputs, inputs)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(inputs, outputs))

def tied(inputs, outputs):
    first, second = nn.Linear(inputs, inputs), nn.Linear(inputs, inputs)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second, nn.Linear(inputs, outputs))

def without_bias(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 4, bias=False), nn.ReLU(), nn.Linear(4, outputs))

def frozen(inputs, outputs):
    backbone = nn.Linear(inputs, 4).requires_grad_(False)
    return nn.Sequential(backbone, nn.Tanh(), nn.Linear(4, outputs))

def normed(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, outputs))

def hooked(inputs, outputs):
    first = nn.Linear(inputs, 4)
    first.register_forward_hook(lambda module, given, made: 3 * made)
    return nn.Sequential(first, nn.Tanh(), nn.Linear(4, outputs))

class Unsaved(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.register_buffer("scale", torch.full((inputs,), 2.0), persistent=False)
    def forward(self, x):
        return self.layer(x * self.scale)

class Writing(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
    def forward(self, x):
        x -= 1.0
        return self.layer(x)

def leaving(inputs, outputs):
    sys.exit("no licence")

class Interrupted(BaseException):
    pass

def interrupted(inputs, outputs):
    raise Interrupted("from below")

class LeavingInTraining(Unsaved):
    def forward(self, x):
        if self.training:
            sys.exit(3)
        return super().forward(x)
"""
TRAINABLE = [
    "repeated_activation",
    "repeated_layer",
    "tied",
    "without_bias",
    "frozen",
    "normed",
    "hooked",
    "Unsaved",
    "Writing",
]


@pytest.fixture(autouse=True)
def _plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*TRAINABLE, "leaving", "interrupted", "LeavingInTraining"]
    install_models(tmp_path, monkeypatch, SOURCE, names)


def module(kind: str) -> nn.Module:
    return build_model(job(model={"kind": kind}).model, 5, 1)


# --- what is trained ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TRAINABLE)
def test_a_trained_model_predicts_what_training_evaluated(kind: str) -> None:
    spec = job(model={"kind": kind}, epochs=4, batch_size=16)
    result = train(spec, mixed(4), UNEVEN)
    in_turn = any("member by member" in note for note in result.notes)
    assert in_turn == (kind == "normed")  # batch statistics
    for member in range(4):
        for number, fold in enumerate(UNEVEN):
            logits = predict(spec, result.parameters(member, number), fold.valid_inputs, 1)
            loss = nn.functional.binary_cross_entropy_with_logits(
                logits.squeeze(1), fold.valid_targets.float()
            )
            assert result.fold_values[member, number] == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("kind", TRAINABLE)
def test_a_trained_model_is_that_of_a_plain_torch_loop(kind: str) -> None:
    fold = UNEVEN[0]
    spec = job(model={"kind": kind}, epochs=5, batch_size=100)
    result = train(spec, [configuration(learning_rate=0.05)], [fold], dtype=torch.float64)
    start = train(
        job(model={"kind": kind}, epochs=1, batch_size=100),
        [configuration(learning_rate=1e-300)],
        [fold],
        dtype=torch.float64,
    ).parameters(0, 0)
    model = module(kind).double().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(start[name])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    stepper = torch.optim.AdamW(trained, lr=0.05, weight_decay=0.0)
    for _ in range(5):
        stepper.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(
            model(fold.train_inputs.double()).squeeze(1), fold.train_targets.double()
        ).backward()
        stepper.step()
    for name, parameter in model.named_parameters():
        assert torch.allclose(result.parameters(0, 0)[name], parameter, rtol=0, atol=1e-9), name


def test_a_frozen_parameter_is_neither_trained_nor_penalised() -> None:
    spec = job(model={"kind": "frozen"}, penalize="all", epochs=30, batch_size=16)
    result = train(spec, [configuration("l1", 10.0), configuration("l2", 1.0)], UNEVEN)
    assert result.weights == 4 + 1
    assert result.nonzero_weights[0].tolist() == [0, 0]
    for fold in range(2):
        crushed, shrunk = result.parameters(0, fold), result.parameters(1, fold)
        for name in ("0.weight", "0.bias"):
            assert torch.equal(crushed[name], shrunk[name])
            assert (crushed[name] != 0).all()
        assert (crushed["2.weight"] == 0).all()


# --- the batched product ------------------------------------------------------------------------


def one_step(kind_of_backend: type[Backend], kind: str) -> Tensor:
    """Return logits and gradient of two members with weights of their own."""
    model = module(kind)
    layout = Layout.of(describe_parameters(model, "weights", "input"))
    backend = kind_of_backend(model, layout, "binary")
    draw = torch.Generator().manual_seed(0)
    weights = torch.randn(1, 2, layout.columns, generator=draw)
    inputs = torch.randn(1, 32, 5, generator=draw)
    targets = torch.randint(2, (1, 32), generator=draw)
    batch = StepBatch(inputs, targets, torch.full((1, 32), 1 / 32))
    gradient = torch.zeros_like(weights)
    models = Models(weights, seed=0)
    backend.gradient(models, batch, gradient)
    return torch.cat([backend.logits(models, inputs).flatten(), gradient.flatten()])


def test_a_repeated_activation_is_applied_each_time() -> None:
    assert Dense.fits(module("repeated_activation"))
    dense, in_turn = one_step(Dense, "repeated_activation"), one_step(InTurn, "repeated_activation")
    assert torch.allclose(dense, in_turn, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["repeated_layer", "tied", "without_bias", "frozen", "normed"])
def test_layers_that_share_or_lack_trained_parameters_are_no_batched_product(kind: str) -> None:
    assert not Dense.fits(module(kind))


# --- code that writes into what it is given -------------------------------------------------------


@pytest.mark.parametrize("backend", sorted(BACKENDS.keys() - {"dense", "fused"}))
def test_a_module_that_writes_into_its_inputs_changes_its_own_alone(backend: str) -> None:
    spec, members = job(model={"kind": "Writing"}, epochs=2, batch_size=16), mixed(3)
    crowd = train(spec, members, UNEVEN, engine=using(backend))
    alone = train(spec, members[2:], UNEVEN, engine=using(backend))
    assert_same_member(alone, 0, crowd, 2)
    rows = UNEVEN[0].valid_inputs.clone()
    predict(spec, crowd.parameters(0, 0), UNEVEN[0].valid_inputs, 1)
    assert torch.equal(UNEVEN[0].valid_inputs, rows)


# --- code that exits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("leaving", "could not be built .* SystemExit: no licence"),
        ("interrupted", "could not be built .* Interrupted: from below"),
        ("LeavingInTraining", "failed in training: SystemExit: 3"),
    ],
)
def test_a_plugin_that_exits_makes_its_job_unrunnable(kind: str, words: str) -> None:
    with pytest.raises(JobUnrunnable, match=words):
        train(job(model={"kind": kind}, epochs=1), mixed(1), UNEVEN)


def test_a_keyboard_interrupt_is_nobodys_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    import some_models  # type: ignore[import-not-found] # written by install_models

    def stop(inputs: int, outputs: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(some_models, "leaving", stop)
    with pytest.raises(KeyboardInterrupt):
        module("leaving")
