"""What `precision` rounds: products of training steps, where the job asks for it, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from populations import (
    CPU,
    assert_same_member,
    configuration,
    install_models,
    job,
    made_up_fold,
    mixed,
    own_notes,
    train,
    trainer_of,
)
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.minibatch.chunks import Chunk
from workers.minibatch.trainer import Trainer
from workers.models.building import predict
from workers.optimizers.precision import exact_products, precision_note, products_of

CUDA = torch.device("cuda", 0)
MODELS = """
from torch import nn

def Normed(i, o):
    return nn.Sequential(nn.Linear(i, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, o))

def Conv(i, o):
    convolution = nn.Unflatten(1, (1, i)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten()
    return nn.Sequential(*convolution, nn.Linear(4 * (i - 2), o))
"""
BACKENDS = {"mlp": "dense", "Normed": "vmap", "Conv": "loop"}  # that these models get
FOLDS = [made_up_fold(80, inputs=8, classes=3, seed=1), made_up_fold(71, inputs=8, classes=3)]


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_models(tmp_path, monkeypatch, MODELS, ["Normed", "Conv"])


def spec_of(kind: str, precision: str, **fields: Any) -> Any:
    options = {"hidden": [16, 8]} if kind == "mlp" else {}
    fields = {"epochs": 3, "batch_size": 16, **fields}
    return job(model={"kind": kind, **options}, precision=precision, **fields)


# --- products -------------------------------------------------------------------------------------


def rows(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def mapped(weight: Tensor, inputs: Tensor) -> Tensor:
    layer = nn.Linear(weight.shape[2], weight.shape[1], bias=False)
    return vmap(lambda own, x: functional_call(layer, {"weight": own}, (x,)))(weight, inputs)


PRODUCTS: dict[str, tuple[Callable[..., Tensor], Tensor, Tensor]] = {
    "mm": (torch.mm, rows(5, 40), rows(40, 6)),
    "mv": (torch.mv, rows(5, 40), rows(40)),
    "bmm": (torch.bmm, rows(3, 5, 40), rows(3, 40, 6)),
    "addmm": (lambda a, b: torch.addmm(torch.ones(6), a, b), rows(5, 40), rows(40, 6)),
    "baddbmm": (
        lambda a, b: torch.baddbmm(torch.ones(3, 1, 6), a, b),
        rows(3, 5, 40),
        rows(3, 40, 6),
    ),
    "conv": (nn.functional.conv1d, rows(2, 3, 20), rows(4, 3, 5)),
    "vmap": (mapped, rows(3, 5, 40), rows(3, 6, 40)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_bf16_rounds_the_factors_of_products_and_sums_them_in_float32(name: str) -> None:
    product, left, right = PRODUCTS[name]
    with products_of("bf16", CPU):
        found = product(left, right)
    expected = product(left.bfloat16().float(), right.bfloat16().float())
    assert torch.equal(found, expected)
    assert not torch.allclose(found, product(left, right), rtol=1e-4)


@pytest.mark.parametrize("name", ["mm", "conv", "vmap"])
def test_bf16_rounds_the_backward_pass_too(name: str) -> None:
    """A product is linear in each factor, so its gradient is the product of the other two."""
    product, left, right = PRODUCTS[name]
    slope = rows(*product(left, right).shape)

    def gradient(left: Tensor, slope: Tensor) -> Tensor:
        factor = right.detach().requires_grad_()
        return torch.autograd.grad(product(left, factor), factor, slope)[0]

    with products_of("bf16", CPU):
        found = gradient(left, slope)
    assert torch.equal(found, gradient(left.bfloat16().float(), slope.bfloat16().float()))
    assert not torch.allclose(found, gradient(left, slope), rtol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_nothing_else_rounds_on_a_cpu(precision: Any) -> None:
    product, left, right = PRODUCTS["mm"]
    with products_of(precision, CPU):
        assert torch.equal(product(left, right), torch.mm(left, right))


def test_bf16_leaves_float64_and_integers_alone() -> None:
    left, right = rows(5, 40).double(), rows(40, 6).double()
    whole = torch.arange(4).view(2, 2)
    expected = left @ right
    with products_of("bf16", CPU):
        assert torch.equal(left @ right, expected)
        assert torch.equal(whole @ whole, torch.tensor([[2, 3], [6, 11]]))


# --- switches -------------------------------------------------------------------------------------


def switches() -> list[str]:
    backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    return [backend.fp32_precision for backend in backends]


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])
def test_tf32_is_off_unless_the_job_asks_for_it(precision: Any) -> None:
    before = switches()
    assert "tf32" in before  # cuDNN's convolutions have it by default
    with products_of(precision, CUDA):
        assert switches() == ["ieee"] * 3
    with exact_products():
        assert switches() == ["ieee"] * 3
    assert switches() == before


@pytest.mark.parametrize(
    ("capability", "value"), [((9, 0), "tf32"), ((8, 0), "tf32"), ((7, 5), "ieee")]
)
def test_tf32_is_on_where_the_device_has_it_and_only_inside(
    capability: tuple[int, int], value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    before = switches()
    with exact_products(), products_of("tf32", CUDA):
        assert switches() == [value] * 3
    assert switches() == before
    assert (precision_note("tf32", CUDA) is None) == (value == "tf32")


def test_a_job_is_told_when_its_precision_gains_nothing() -> None:
    notes = {
        precision: own_notes(trainer_of(spec_of("mlp", precision), FOLDS, 3).notes)
        for precision in ("float32", "float64", "tf32", "bf16")
    }
    assert notes["float32"] == notes["float64"] == []
    assert "trains in float32 here" in notes["tf32"][0]
    assert "saves no time" in notes["bf16"][0]


# --- jobs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_bf16_job_stays_near_the_float32_job(kind: str) -> None:
    members = [configuration(penalty, 0.01) for penalty in ("none", "l1", "group_lasso")]
    rounded, exact = (
        train(spec_of(kind, precision), members, FOLDS, 3) for precision in ("bf16", "float32")
    )
    assert trainer_of(spec_of(kind, "bf16"), FOLDS, 3).backend.name == BACKENDS[kind]
    assert np.allclose(rounded.curves, exact.curves, rtol=0.02)
    assert not np.allclose(rounded.curves, exact.curves, rtol=1e-6)
    assert {value.dtype for value in rounded.parameters(0, 0).values()} == {torch.float32}


@pytest.mark.parametrize("kind", BACKENDS)
def test_members_of_a_bf16_job_are_bitwise_the_same_in_any_company(kind: str) -> None:
    spec, members = spec_of(kind, "bf16", epochs=2), mixed(7)
    seven = train(spec, members, FOLDS, 3)
    pair = train(spec, [members[6], members[3]], FOLDS, 3)
    alone = train(spec, [members[6]], FOLDS, 3)
    assert_same_member(seven, 6, alone, 0)
    assert_same_member(seven, 6, pair, 0)
    assert_same_member(seven, 3, pair, 1)


def test_a_tf32_job_on_a_cpu_is_bitwise_the_float32_job() -> None:
    members = mixed(4)
    ours, plain = (train(spec_of("mlp", name), members, FOLDS, 3) for name in ("tf32", "float32"))
    for member in range(4):
        assert_same_member(ours, member, plain, member)


def test_a_bf16_job_is_judged_in_float32() -> None:
    spec, fold = spec_of("mlp", "bf16"), FOLDS[0]
    result = train(spec, [configuration()], [fold], 3)
    logits = predict(spec, result.parameters(0, 0), fold.valid_inputs, 3)
    loss = nn.functional.cross_entropy(logits, fold.valid_targets).item()
    assert result.values[0] == pytest.approx(loss, rel=1e-6)


def test_a_bf16_job_settles_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its zeros are those of the exact objective near the weights that training came to."""
    products: list[float] = []
    number, gradient = torch.full((1, 1), 1 + 2**-10), Trainer.full_gradient

    def observed(trainer: Trainer, chunk: Chunk) -> None:
        products.append((number @ torch.ones(1, 1)).item())
        gradient(trainer, chunk)

    monkeypatch.setattr(Trainer, "full_gradient", observed)
    train(spec_of("mlp", "bf16", epochs=20), [configuration("l1", 0.01)], FOLDS[:1], 3)
    assert products == [1 + 2**-10] * len(products) != []
