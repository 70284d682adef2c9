"""What training does to rows, targets, hidden units and rates: each against its definition."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from populations import configuration, install_models, job, made_up_fold, train
from sklearn.utils.class_weight import compute_sample_weight
from torch import Tensor, nn

from ridgeway.errors import JobUnrunnable
from workers.backends import Backend, Dense, Fused, InTurn, Mapped, Models, Perturbation, StepBatch
from workers.data.folds import Fold
from workers.kernels import Library, load
from workers.models.building import build_model
from workers.models.dropout import with_own_dropout
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters
from workers.objectives.losses import Kind, loss_and_gradient, row_losses, row_weights
from workers.optimizers.schedules import SETTLING, factors

KINDS: list[Kind] = ["regression", "binary", "multiclass"]


def targets_of(kind: Kind, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    if kind == "regression":
        return torch.randn(shape, generator=draw, dtype=torch.float64)
    return torch.randint(2 if kind == "binary" else 3, shape, generator=draw)


# --- losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("smoothed", [False, True])
def test_the_gradient_written_out_is_autograds(kind: Kind, smoothed: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    outputs = 3 if kind == "multiclass" else 1
    logits = 3 * torch.randn(2, 4, outputs, 8, generator=draw, dtype=torch.float64)
    targets = targets_of(kind, (2, 8), draw)
    weights = torch.rand(2, 8, generator=draw, dtype=torch.float64)
    smoothing = torch.tensor([0.0, 0.1, 0.5, 1.0]).double() if smoothed else None
    if kind == "regression" and smoothed:
        smoothing = None  # refused at the door
    leaf = logits.clone().requires_grad_()
    share = None if smoothing is None else smoothing[:, None]
    rows = row_losses(kind, leaf.transpose(2, 3), targets[:, None].expand(2, 4, 8), share)
    expected = (rows * weights[:, None]).sum(-1)
    (gradient,) = torch.autograd.grad(expected.sum(), leaf)
    losses = loss_and_gradient(kind, logits, targets, weights, smoothing)
    assert torch.allclose(losses, expected, rtol=1e-12)
    assert torch.allclose(logits, gradient, rtol=0, atol=1e-12)


def test_label_smoothing_is_torchs() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(6, 3, generator=draw), torch.randint(3, (6,), generator=draw)
    ours = row_losses("multiclass", logits, targets, torch.tensor([0.2]))
    theirs = nn.functional.cross_entropy(logits, targets, label_smoothing=0.2, reduction="none")
    assert torch.allclose(ours, theirs, rtol=1e-5)


def test_balanced_classes_weigh_as_scikit_learns() -> None:
    targets = torch.cat([made_up_fold(50, classes=3).train_targets, torch.zeros(20).long()])
    expected = compute_sample_weight("balanced", targets.numpy())
    found = row_weights(job(class_weights="balanced"), targets)
    assert found.numpy() == pytest.approx(expected, rel=1e-12)


def test_balanced_classes_train_as_if_the_rare_ones_rows_were_there_more_often() -> None:
    fold = made_up_fold(40)
    rare = fold.train_targets == 1
    few = torch.cat([(~rare).nonzero().flatten()[:12], rare.nonzero().flatten()[:3]])
    many = torch.cat([few[:12], few[12:].repeat(4)])

    def fold_of(rows: Tensor) -> Fold:
        return replace(
            fold, train_inputs=fold.train_inputs[rows], train_targets=fold.train_targets[rows]
        )

    # Not Adam: the intercept's first gradient is 0, and it would make a whole step of its rounding.
    options: dict[str, Any] = {"model": {"kind": "linear"}, "optimizer": "sgd", "epochs": 20}
    member = [configuration(learning_rate=0.05)]
    weighted = train(job(class_weights="balanced", **options), member, [fold_of(few)])
    repeated = train(job(**options), member, [fold_of(many)])
    plain = train(job(**options), member, [fold_of(few)])
    assert weighted.curves[0] == pytest.approx(repeated.curves[0], rel=1e-5)
    assert weighted.curves[0] != pytest.approx(plain.curves[0], rel=1e-3)


# --- the same draws, each member's own share ----------------------------------------------------


def gradients(backend: Backend) -> tuple[Tensor, Tensor]:
    """Losses and gradients of 2 folds x 3 members with rates of their own, in a training step."""
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(2, 3, backend.layout.columns, generator=draw, dtype=torch.float64)
    batch = StepBatch(
        torch.randn(2, 32, 5, generator=draw, dtype=torch.float64),
        torch.randint(3, (2, 32), generator=draw),
        torch.full((2, 32), 1 / 32, dtype=torch.float64),
        torch.randn(2, 32, 5, generator=draw, dtype=torch.float64),
    )
    rates = torch.tensor([0.0, 0.2, 0.7]).double()
    perturbation = Perturbation(rates / 2, rates)
    buffers = {name: rates.expand(2, 3).contiguous() for name in backend.dropouts}
    out = torch.zeros_like(weights)
    losses, _ = backend.gradient(Models(weights, buffers, perturbation, seed=7), batch, out)
    return losses, out


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "silu"])
def test_every_backend_gives_the_same_losses_and_gradients(activation: str) -> None:
    spec = job(model={"kind": "mlp", "hidden": [6, 4], "activation": activation, "dropout": 0.3})
    model = with_own_dropout(build_model(spec.model, 5, 3)).double()
    layout = Layout.of(describe_parameters(model, "weights", "input"))
    assert Dense.fits(model)
    backends = [kind(model, layout, "multiclass") for kind in (InTurn, Mapped, Dense)]
    library = load(torch.float64)
    if isinstance(library, Library):
        assert Fused.fits(model, library) == library.fast
        backends.append(Fused(model, layout, "multiclass", library))
    found = [gradients(backend) for backend in backends]
    for losses, gradient in found[1:]:
        assert torch.allclose(losses, found[0][0], rtol=1e-10)
        assert torch.allclose(gradient, found[0][1], rtol=0, atol=1e-10)


def test_dropout_that_is_searched_is_each_members_own() -> None:
    spec = job(
        model={"kind": "mlp", "hidden": [16]},
        search={"dropout": {"low": 0.0, "high": 0.9}},
        epochs=3,
        batch_size=16,
    )
    members = [configuration(dropout=rate) for rate in (0.0, 0.5, 0.0)]
    result = train(spec, members, [made_up_fold()])
    whole = train(
        job(model={"kind": "mlp", "hidden": [16]}, epochs=3, batch_size=16),
        members[:1],
        [made_up_fold()],
    )
    assert result.curves[0] == pytest.approx(whole.curves[0], rel=1e-6)
    assert np.array_equal(result.curves[0], result.curves[2])
    assert not np.allclose(result.curves[0], result.curves[1], rtol=1e-3)


def test_a_dropout_layer_that_occurs_twice_has_the_searched_rate_in_both_places() -> None:
    again = nn.Dropout(0.1)
    model = with_own_dropout(nn.Sequential(nn.Linear(3, 3), again, nn.Linear(3, 1), again))
    layout = Layout.of(describe_parameters(model, "weights", "input"))
    assert Dense(model, layout, "binary").dropouts == ["1.rate", "3.rate"]


def test_searching_the_dropout_of_a_model_without_any_is_unrunnable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from torch import nn\ndef plain(inputs, outputs):\n    return nn.Linear(inputs, outputs)\n"
    )
    install_models(tmp_path, monkeypatch, source, ["plain"])
    spec = job(model={"kind": "plain"}, search={"dropout": {"low": 0.0, "high": 0.9}})
    with pytest.raises(JobUnrunnable, match=r"no torch\.nn\.Dropout layer"):
        train(spec, [configuration(dropout=0.1)], [made_up_fold()])


def test_noise_on_inputs_changes_training_and_not_what_is_judged() -> None:
    search = {"input_noise": {"low": 0.0, "high": 2.0}}
    spec = job(model={"kind": "linear"}, search=search, epochs=3)
    noisy = [configuration(learning_rate=1e-300, input_noise=scale) for scale in (0.0, 1.0)]
    result = train(spec, noisy, [made_up_fold()])
    assert np.array_equal(result.curves[0], result.curves[1])
    learning = [configuration(learning_rate=0.1, input_noise=scale) for scale in (0.0, 1.0)]
    result = train(spec, learning, [made_up_fold()])
    assert not np.allclose(result.curves[0], result.curves[1], rtol=1e-3)


# --- the learning rate over time ----------------------------------------------------------------


def test_warm_up_rises_to_one_and_a_cosine_falls_from_it() -> None:
    spec = job(schedule="cosine", warmup_epochs=2, epochs=10)
    found = factors(spec, 0, 31, 3)[1:]
    assert found[:6] == pytest.approx([step / 6 for step in range(1, 7)])
    cosine = [0.5 * (1 + math.cos(math.pi * step / 24)) for step in range(24)]
    assert found[6:30] == pytest.approx(cosine)
    assert found[30] == SETTLING
    assert set(factors(job(epochs=10), 0, 40, 3)) == {1.0}


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_factors_in_blocks_are_those_of_the_whole(schedule: str) -> None:
    spec = job(schedule=schedule, warmup_epochs=1, epochs=6)
    whole = factors(spec, 0, 24, 4)
    assert whole[1:] == [
        factor for first in (0, 8, 16) for factor in factors(spec, first, 8, 4)[1:]
    ]
    assert factors(spec, 8, 8, 4)[0] == whole[8]
