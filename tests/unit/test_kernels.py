"""The compiled kernels do what the same maths in torch operations does."""

from __future__ import annotations

import math
import shutil
import stat
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from populations import job, made_up_fold

from workers.kernels import (
    CompiledOptimizer,
    Library,
    bias_relu,
    library,
    load,
    relu_backward,
    softmax_gradient,
)
from workers.losses import loss_and_gradient
from workers.optimizers import OPTIMIZERS, Rates, Uses
from workers.training import Trainer

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, library.COMPILERS)), reason="there is no C compiler here"
)


def kernels(dtype: torch.dtype) -> Library:
    """Those of the type."""
    found = load(dtype)
    assert isinstance(found, Library), found
    return found


def draws(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@needs_compiler
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    seed=st.integers(0, 2**16),
    models=st.integers(1, 9),
    flags=st.lists(st.booleans(), min_size=5, max_size=5),
    clip_norm=st.sampled_from([None, 0.5, 100.0]),
)
def test_a_step_is_the_one_in_torch_operations(name, dtype, seed, models, flags, clip_norm) -> None:
    l1, l2, group, subgradient, weight_decay = flags
    uses = Uses(
        penalised=32, l1=l1, l2=l2, group=group, subgradient=subgradient,
        weight_decay=weight_decay, clip_norm=clip_norm,
    )  # fmt: skip
    eager = OPTIMIZERS[name](uses)
    compiled = CompiledOptimizer(eager, kernels(dtype))
    share = torch.rand(6, models, 1, generator=torch.Generator().manual_seed(seed)).double()
    rates = Rates(
        learning_rate=0.1 * share[0],
        weight_decay=share[1] * weight_decay,
        l1=share[2] * l1,
        l2=share[3] * l2,
        group=share[4] * group,
        subgradient=share[5] * subgradient,
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


@needs_compiler
@given(
    seed=st.integers(0, 2**16),
    folds=st.integers(1, 3),
    members=st.integers(1, 5),
    classes=st.integers(3, 12),
    scale=st.sampled_from([0.01, 1.0, 30.0, 1000.0]),
    smooth=st.booleans(),
)
def test_cross_entropies_and_their_gradient_are_torchs(
    seed, folds, members, classes, scale, smooth
) -> None:
    logits = scale * draws(seed, folds, members, classes, 64)
    bias = draws(seed + 1, folds, members, classes)
    targets = torch.randint(classes, (folds, 64), generator=torch.Generator().manual_seed(seed))
    weights = draws(seed + 2, folds, 64).abs()
    smoothing = draws(seed + 3, members).sigmoid() if smooth else None
    expected = (logits + bias.unsqueeze(-1)).double()
    wide = None if smoothing is None else smoothing.double()
    losses = loss_and_gradient("multiclass", expected, targets, weights.double(), wide)
    sums = torch.empty_like(bias)
    found = softmax_gradient(
        kernels(torch.float32), logits, bias, (targets, weights), smoothing, sums
    )
    torch.testing.assert_close(found.double(), losses, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sums.double(), expected.sum(-1), rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_poisoned_model_shows_in_its_own_loss_alone(poison: float) -> None:
    logits, bias = draws(0, 1, 4, 5, 32), torch.zeros(1, 4, 5)
    logits[0, 2, :, 3] = poison
    batch = torch.zeros(1, 32, dtype=torch.int64), torch.full((1, 32), 1 / 32)
    losses = softmax_gradient(
        kernels(torch.float32), logits, bias, batch, None, torch.empty_like(bias)
    )
    assert losses.isfinite().tolist() == [[True, True, False, True]]


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_relu_and_its_backward_pass_are_torchs(dtype: torch.dtype) -> None:
    hidden, bias = draws(1, 6, 7, 64, dtype=dtype), draws(2, 6, 7, dtype=dtype)
    hidden[3, 2, 5] = math.nan
    expected = torch.relu(hidden + bias.unsqueeze(-1))
    bias_relu(kernels(dtype), hidden, bias)
    assert torch.equal(hidden.nan_to_num(9), expected.nan_to_num(9))
    gradient, sums = draws(3, 6, 7, 64, dtype=dtype), torch.empty(6, 11, dtype=dtype)
    masked = torch.ops.aten.threshold_backward(gradient, expected, 0)
    relu_backward(kernels(dtype), gradient, expected, sums[:, 2:9])
    assert torch.equal(gradient, masked)
    torch.testing.assert_close(sums[:, 2:9], masked.sum(2))


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
    trainer = Trainer(job(), [made_up_fold(64)], 2, 0, CPU)
    (note,) = trainer.notes
    assert note.startswith("training runs without compiled kernels, which is slower: ")
    assert reason in note
    assert trainer.plan.compiled is False


def test_a_job_planned_without_kernels_is_trained_without_them() -> None:
    first = Trainer(job(), [made_up_fold(64)], 2, 0, CPU)
    plan = type(first.plan)(device="cpu", backend="vmap", compiled=False)
    second = Trainer(job(), [made_up_fold(64)], 2, 0, CPU, plan=plan)
    assert second.plan == plan
    assert second.notes == []
