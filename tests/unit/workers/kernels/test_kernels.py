"""The compiled kernels do what the same maths in torch operations does."""

from __future__ import annotations

import itertools
import math
import platform
import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import (
    job,
    made_up_fold,
    trainer_of,
)
from torch import nn

from ridgeway.jobs.plan import Engine
from workers.backends import Fused
from workers.kernels import CompiledOptimizer, Library, Net, NetBatch, NetShape, library, load
from workers.models.building import ACTIVATIONS
from workers.objectives.losses import Huber, Kind, Quantile, of_classes, row_losses
from workers.optimizers import OPTIMIZERS
from workers.optimizers.base import Rates, Uses

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, library.COMPILERS)), reason="there is no C compiler here"
)


def kernels(dtype: torch.dtype) -> Library:
    """Return the kernels for this type."""
    found = load(dtype)
    assert isinstance(found, Library), found
    return found


def draws(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Draw normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@needs_compiler
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    seed=st.integers(0, 2**16),
    models=st.integers(1, 9),
    flags=st.lists(st.booleans(), min_size=6, max_size=6),
    clip_norm=st.sampled_from([None, 0.5, 100.0]),
)
def test_a_step_is_the_one_in_torch_operations(name, dtype, seed, models, flags, clip_norm) -> None:
    l1, l2, group, subgradient, weight_decay, factors = flags
    own = torch.arange(32).remainder(5).to(dtype) / 2  # some are 0
    uses = Uses(
        penalised=32,
        l1=l1,
        l2=l2,
        last=group,
        subgradient=subgradient,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        factors=own if factors else None,
    )
    eager = OPTIMIZERS[name](uses)
    compiled = CompiledOptimizer(eager, kernels(dtype))
    share = torch.rand(6, models, 1, generator=torch.Generator().manual_seed(seed)).double()
    rates = Rates(
        learning_rate=0.1 * share[0],
        weight_decay=share[1] * weight_decay,
        l1=share[2] * l1,
        l2=share[3] * l2,
        last=share[4] * group,
        subgradient=share[5] * subgradient,
        dense=share[0] - 0.5,
        grown=1 + 3 * share[0],
    )
    coefficients = eager.coefficients(rates, 0, [1.0, 1.0, 0.7, 0.3]).to(dtype)
    start = draws(seed, models, 48, dtype=dtype)
    ends, kept = [], []
    for optimizer in (eager, compiled):
        weights, state = start.clone(), [torch.zeros_like(start) for _ in range(eager.remembers)]
        if name == "sgd":
            state = [start.clone()]
        for step, now in enumerate(coefficients):
            gradient = draws(seed + step + 1, models, 48, dtype=dtype)
            metric, groups = optimizer.update(weights, gradient, state, now)
        ends.append(weights)
        kept.append((metric, groups))
    closeness = {"rtol": 1e-11, "atol": 1e-12} if dtype == torch.float64 else {}
    torch.testing.assert_close(ends[1], ends[0], **closeness)
    assert torch.equal(ends[1] == 0, ends[0] == 0)
    if group:
        ratio = [strength / metric for metric, strength in kept]  # a common factor is free
        torch.testing.assert_close(*torch.broadcast_tensors(ratio[1], ratio[0]), **closeness)


# --- nets ---------------------------------------------------------------------------------------

KINDS: list[Kind] = ["multiclass", "binary", "regression", "poisson", Huber(0.7), Quantile(0.3)]

# Every width of a vector that products.h knows, on a processor that has them all.
VECTORS = {
    "as it is": (),
    "AVX2": ("-mno-avx512f",),
    "16 bytes": ("-mno-avx512f", "-mno-avx2", "-mno-fma"),
}


@cache
def compiled_for(vectors: str, dtype: torch.dtype) -> Library:
    """Compile the kernels as for another processor."""
    if vectors != "as it is" and platform.machine() != "x86_64":
        pytest.skip("the options are those of x86-64")
    compiler = library.find_compiler()
    assert compiler is not None
    options = (*library.DEFINES[dtype], *VECTORS[vectors])
    return Library(library.compiled(compiler, options), dtype)


def net_and_module(
    kind: Kind, widths: list[int], found: Library, activations: Sequence[str] | None = None
) -> tuple[Net, nn.Sequential]:
    """Make a net and the module of the same layers; a row holds each weight, then its bias."""
    activations = ["relu"] * (len(widths) - 2) if activations is None else activations
    layers: list[nn.Module] = []
    for (inputs, outputs), name in itertools.zip_longest(itertools.pairwise(widths), activations):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[name or "relu"]()]
    module = nn.Sequential(*layers[:-1]).to(found.dtype)
    sizes = [parameter.numel() for parameter in module.parameters()]
    starts = [0, *itertools.accumulate(sizes)]
    shape = NetShape(starts[-1], widths, starts[:-1:2], starts[1::2], activations)
    return Net(found, kind, shape), module


def losses_of(kind: Kind, module: nn.Sequential, weights: torch.Tensor, batch: NetBatch):
    """Return losses (F, P) and gradients by autograd, each member with its own perturbations."""
    vector_to_parameters = nn.utils.vector_to_parameters
    losses = torch.zeros(weights.shape[:2], dtype=weights.dtype)
    gradients = torch.zeros_like(weights)
    for fold, member in itertools.product(*map(range, weights.shape[:2])):
        vector_to_parameters(weights[fold, member].clone(), module.parameters())
        hidden = batch.inputs[fold]
        if batch.noise is not None and batch.noise_scales is not None:
            hidden = hidden + batch.noise_scales[member] * batch.noise[fold]
        place = 0
        for layer in module:
            hidden = layer(hidden)
            if not isinstance(layer, nn.Linear):
                draws, rates = batch.draws[place], batch.dropouts[place]
                if draws is not None and rates is not None:
                    rate = rates[fold, member]
                    hidden = hidden * (draws >= rate) / (1 - rate)
                place += 1
        smoothing = None if batch.smoothing is None else batch.smoothing[member][None]
        rows = row_losses(kind, hidden, batch.targets[fold], smoothing)
        loss = (rows * batch.row_weights[fold]).sum()
        own = torch.autograd.grad(loss, list(module.parameters()))
        losses[fold, member] = loss.detach()
        gradients[fold, member] = nn.utils.parameters_to_vector(own)
    return losses, gradients


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("vectors", VECTORS)
@settings(max_examples=30)
@given(data=st.data())
def test_losses_and_gradients_of_nets_are_autograds(vectors, dtype, data) -> None:
    draw = data.draw
    kind: Kind = draw(st.sampled_from(KINDS))
    classes = draw(st.integers(3, 12)) if kind == "multiclass" else 1
    widths = [*draw(st.lists(st.integers(1, 40), min_size=1, max_size=4)), classes]
    folds, members = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    rows = 32 * draw(st.integers(1, 9))  # several strips
    seed = draw(st.integers(0, 2**16))
    noisy, smooth = draw(st.booleans()), draw(st.booleans())
    dropped = [draw(st.booleans()) for _ in widths[1:-1]]
    activations = [draw(st.sampled_from(sorted(ACTIVATIONS))) for _ in widths[1:-1]]
    net, module = net_and_module(kind, widths, compiled_for(vectors, dtype), activations)
    rates = torch.rand(folds, members, generator=torch.Generator().manual_seed(seed)).to(dtype)
    inputs = draws(seed + 1, folds, rows, widths[0], dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(max(2, classes), (folds, rows), generator=generator)
    batch = NetBatch(
        inputs=inputs,
        targets=targets if of_classes(kind) else targets.to(dtype),
        row_weights=draws(seed + 2, folds, rows, dtype=dtype).abs() / rows,
        noise=draws(seed + 3, *inputs.shape, dtype=dtype) if noisy else None,
        noise_scales=rates[0] if noisy else None,
        smoothing=rates[-1] if smooth and of_classes(kind) else None,
        draws=[
            draws(seed + 4 + place, rows, units, dtype=dtype).sigmoid() if drops else None
            for place, (units, drops) in enumerate(zip(widths[1:-1], dropped, strict=True))
        ],
        dropouts=[0.9 * rates if drops else None for drops in dropped],
    )
    weights = draws(seed + 9, folds, members, net.columns, dtype=dtype)
    weights *= 0.1 if kind == "poisson" else 1  # of which a logit's exponential is finite
    losses, gradients = losses_of(kind, module, weights, batch)
    found = torch.full_like(weights, torch.nan)
    closeness = {"rtol": 1e-9, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-3}
    scale = gradients.abs().amax(-1, keepdim=True).clamp_min(1e-30)
    torch.testing.assert_close(
        net.gradient(weights, batch, found), losses, **{"atol": 1e-5, **closeness}
    )
    torch.testing.assert_close(found / scale, gradients / scale, **{"atol": 1e-4, **closeness})
    logits = net.logits(weights, inputs)
    nn.utils.vector_to_parameters(weights[-1, -1].clone(), module.parameters())
    expected = module(inputs[-1]).detach().T
    torch.testing.assert_close(logits[-1, -1], expected, **{"atol": 1e-3, **closeness})


@needs_compiler
@pytest.mark.parametrize("kind", ["multiclass", "binary"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1000.0])
def test_losses_of_small_and_large_logits_are_torchs(kind: Kind, scale: float) -> None:
    outputs = 5 if kind == "multiclass" else 1
    net, module = net_and_module(kind, [3, outputs], kernels(torch.float32))
    weights = scale * draws(1, 1, 4, net.columns)
    targets = torch.arange(64)[None].remainder(max(outputs, 2))
    batch = NetBatch(draws(2, 1, 64, 3), targets, torch.full((1, 64), 1 / 64))
    losses, gradients = losses_of(kind, module.double(), weights.double(), batch_in_double(batch))
    found = torch.empty_like(weights)
    told = net.gradient(weights, batch, found)
    torch.testing.assert_close(told.double(), losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.double(), gradients, rtol=1e-4, atol=1e-6)


def batch_in_double(batch: NetBatch) -> NetBatch:
    return replace(batch, inputs=batch.inputs.double(), row_weights=batch.row_weights.double())


@needs_compiler
@pytest.mark.parametrize("kind", ["multiclass", "binary", "regression"])
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_poisoned_model_shows_in_its_own_loss_alone(kind: Kind, poison: float) -> None:
    outputs = 5 if kind == "multiclass" else 1
    net, _ = net_and_module(kind, [3, 6, outputs], kernels(torch.float32))
    weights = draws(0, 1, 4, net.columns)
    weights[0, 2, -outputs] = poison  # the bias of the first output, which is every row's class
    targets = torch.zeros(1, 32, dtype=torch.int64)
    batch = NetBatch(draws(2, 1, 32, 3), targets, torch.full((1, 32), 1 / 32))
    losses = net.gradient(weights, batch, torch.empty_like(weights))
    assert losses.isfinite().tolist() == [[True, True, False, True]]


@needs_compiler
@pytest.mark.parametrize("name", ["tanh", "silu", "gelu"])
def test_activations_and_their_derivatives_are_torchs_near_zero_and_far_from_it(name: str) -> None:
    """A net of one weight after the activation shows what it gives, and its derivative."""
    net, _ = net_and_module("regression", [1, 1, 1], kernels(torch.float32), [name])
    x = torch.cat([torch.linspace(-12, 12, 961), 1e-3 * draws(0, 63)]).double()[None, :, None]
    weights = torch.tensor([1.0, 0.0, 1.0, 0.0])  # weight, bias, weight, bias
    own = weights.expand(1, x.shape[1], 4).contiguous()
    own[..., 1] = x[..., 0].float()  # every model reads 0, and adds its own number
    rows = torch.full((1, 32), 1 / 32)
    batch = NetBatch(torch.zeros(1, 32, 1), torch.zeros(1, 32), rows)
    wide = own[0, :, 1].double().requires_grad_()
    given = ACTIVATIONS[name]()(wide)
    logits = net.logits(own, batch.inputs)[0, :, 0, 0].double()
    torch.testing.assert_close(logits, given.detach(), rtol=3e-7, atol=1.5e-6)
    (derivatives,) = torch.autograd.grad(given.square().sum(), wide)
    gradients = torch.empty_like(own)
    net.gradient(own, batch, gradients)
    torch.testing.assert_close(gradients[0, :, 1].double(), derivatives, rtol=1e-5, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("seed", range(5))
def test_dropout_hides_no_poison(activation: str, seed: int) -> None:
    net, _ = net_and_module("binary", [3, 4, 1], kernels(torch.float32), [activation])
    weights = draws(0, 1, 2, net.columns)
    weights[0, 1, 0] = math.nan
    batch = NetBatch(
        draws(2, 1, 32, 3),
        torch.zeros(1, 32, dtype=torch.int64),
        torch.full((1, 32), 1 / 32),
        draws=[torch.rand(32, 4, generator=torch.Generator().manual_seed(seed))],
        dropouts=[torch.full((1, 2), 0.97)],
    )
    losses = net.gradient(weights, batch, torch.empty_like(weights))
    assert losses.isfinite().tolist() == [[True, False]]


@needs_compiler
def test_a_nets_bits_do_not_depend_on_where_its_numbers_lie() -> None:
    net, _ = net_and_module("multiclass", [7, 19, 5], kernels(torch.float32))
    targets = torch.zeros(1, 96, dtype=torch.int64)
    batch = NetBatch(draws(1, 1, 96, 7), targets, torch.full((1, 96), 1 / 96))
    alike = draws(2, 1, 1, net.columns).expand(1, 9, -1).contiguous()
    found = torch.empty_like(alike)
    losses = net.gradient(alike, batch, found)
    assert (found == found[:, :1]).all()
    assert (losses == losses[:, :1]).all()


# --- the library ------------------------------------------------------------------------------


@pytest.fixture
def _afresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load.cache_clear()
    yield
    load.cache_clear()


@needs_compiler
@pytest.mark.usefixtures("_afresh")
def test_the_library_is_compiled_once_where_nobody_else_can_write(tmp_path: Path) -> None:
    assert isinstance(load(torch.float32), Library)
    (kept,) = (tmp_path / "ridgeway").iterdir()
    assert stat.S_IMODE((tmp_path / "ridgeway").stat().st_mode) == 0o700
    written = kept.stat().st_mtime_ns
    load.cache_clear()
    assert isinstance(load(torch.float32), Library)
    assert kept.stat().st_mtime_ns == written


@needs_compiler
@pytest.mark.usefixtures("_afresh")
def test_a_damaged_library_is_compiled_again(tmp_path: Path) -> None:
    load(torch.float32)
    (kept,) = (tmp_path / "ridgeway").iterdir()
    damaged = kept.with_suffix(".damaged")
    damaged.write_bytes(b"not a library")
    damaged.replace(kept)  # another file: the one that is loaded stays as it is
    load.cache_clear()
    assert isinstance(load(torch.float32), Library)


@needs_compiler
@pytest.mark.usefixtures("_afresh")
def test_a_folder_that_others_can_write_is_not_loaded_from(tmp_path: Path) -> None:
    folder = tmp_path / "ridgeway"
    folder.mkdir()
    folder.chmod(0o777)
    assert isinstance(load(torch.float32), Library)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("_afresh")
@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("no-such-compiler", "there is no C compiler"),
        ("false", "the C compiler failed"),
        ('cc "half quoted', "the C compiler failed: No closing quotation"),
    ],
)
def test_training_goes_on_without_a_compiler_and_says_so(
    compiler: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    trainer = trainer_of(job(), [made_up_fold(64)], 2)
    (note,) = trainer.notes
    assert note.startswith("training runs without compiled kernels, which is slower: ")
    assert reason in note
    assert trainer.engine == Engine(device="cpu", backend="dense", compiled=False)


@needs_compiler
@pytest.mark.parametrize(
    ("vectors", "widths", "fits"),
    [
        ("AVX2", (3, 4, 2), True),
        ("16 bytes", (3, 4, 2), False),
        ("AVX2", (30, 1, 1), True),
        ("AVX2", (200, 1, 1), False),
        ("AVX2", (200, 4, 1), True),
        ("AVX2", (64, 1024, 1024), True),
        ("AVX2", (64, 2048, 2048), False),
    ],
)
def test_products_that_torch_is_faster_with_are_left_to_it(
    vectors: str, widths: tuple[int, int, int], fits: bool
) -> None:
    inputs, hidden, outputs = widths
    module = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    assert Fused.fits(module, compiled_for(vectors, torch.float32)) == fits


def test_a_job_planned_without_kernels_is_trained_without_them() -> None:
    plan = Engine(device="cpu", backend="vmap", compiled=False)
    second = trainer_of(job(), [made_up_fold(64)], 2, engine=plan)
    assert second.engine == plan
    assert second.notes == []
