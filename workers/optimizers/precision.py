"""Torch's types and rounding for a job's `precision`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ridgeway.spec.spec import JobSpec, Precision

aten = torch.ops.aten


def dtype_of(spec: JobSpec) -> torch.dtype:
    """Return the type of weights, data, losses and optimiser states."""
    return torch.float64 if spec.precision == "float64" else torch.float32


def precision_note(precision: Precision, device: torch.device) -> str | None:
    """Warn of a rounding that this device doesn't gain by; None where there is none."""
    if precision == "tf32" and not _has_tf32(device):
        return "precision tf32 trains in float32 here: the device has no TensorFloat-32"
    if precision == "bf16" and device.type == "cpu":
        return "precision bf16 rounds on a CPU what it rounds on a GPU, and saves no time there"
    return None


@contextmanager
def exact_products() -> Iterator[None]:
    """Keep float32 exact inside, on a GPU too, where cuDNN by default rounds convolutions to TF32.

    Also a decorator. Afterwards torch's switches are as they were.
    """
    with _switched("ieee"):
        yield


@contextmanager
def products_of(precision: Precision, device: torch.device) -> Iterator[None]:
    """Round matrix products and convolutions inside as the precision says, and no more."""
    tf32 = precision == "tf32" and _has_tf32(device)
    rounding = RoundedProducts() if precision == "bf16" else nullcontext()
    with _switched("tf32" if tf32 else "ieee"), rounding:
        yield


@contextmanager
def _switched(value: str) -> Iterator[None]:
    # Not by their legacy names allow_tf32: torch refuses to read those where these were set.
    cudnn: Any = torch.backends.cudnn  # whose stub knows no conv
    switches: list[Any] = [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = value
        yield
    finally:
        for switch, own in zip(switches, before, strict=True):
            switch.fp32_precision = own


def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


# --- bfloat16 ---------------------------------------------------------------------------------

# Which arguments of an operation are factors.
FACTORS: Mapping[object, tuple[int, ...]] = {
    aten.mm.default: (0, 1),
    aten.mm.out: (0, 1),
    aten.bmm.default: (0, 1),
    aten.bmm.out: (0, 1),
    aten.mv.default: (0, 1),
    aten.addmm.default: (1, 2),
    aten.addmv.default: (1, 2),
    aten.baddbmm.default: (1, 2),
    aten.convolution.default: (0, 1),
    aten.convolution_backward.default: (0, 1, 2),
}


class RoundedProducts(TorchDispatchMode):
    """Round the factors of float32 products to bfloat16; sums and results are float32.

    Forward and backward, in any module: torch.autocast has no effect under vmap, and keeps
    activations in bfloat16 elsewhere. A CPU multiplies the rounded factors as float32, so that
    members stay bitwise the same in any company; a GPU has cores for them.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Say no: to be skipped by a compiler that nobody calls costs seconds of importing it."""
        return False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        places = FACTORS.get(func)
        if places is None or any(args[place].dtype != torch.float32 for place in places):
            return func(*args, **given)
        on_cuda = CUDA.get(func) if args[places[0]].is_cuda else None
        if on_cuda is not None:
            return on_cuda(*_cast(args, places), **given)
        rounded = [
            arg.bfloat16().float() if place in places else arg for place, arg in enumerate(args)
        ]
        return func(*rounded, **given)


def _cast(args: tuple[Any, ...], places: tuple[int, ...]) -> list[Any]:
    return [arg.bfloat16() if place in places else arg for place, arg in enumerate(args)]


# --- the same on a GPU's bfloat16 cores: factors are bfloat16, all else is float32 ----------------


def _mm(left: Tensor, right: Tensor) -> Tensor:
    return aten.mm.dtype(left, right, torch.float32)


def _mm_out(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
    return aten.mm.dtype_out(left, right, torch.float32, out=out)


def _bmm(left: Tensor, right: Tensor) -> Tensor:
    return aten.bmm.dtype(left, right, torch.float32)


def _bmm_out(left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
    return aten.bmm.dtype_out(left, right, torch.float32, out=out)


def _addmm(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    return _mm(left, right).mul_(alpha).add_(bias, alpha=beta)


def _baddbmm(
    bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    return _bmm(left, right).mul_(alpha).add_(bias, alpha=beta)


def _convolution(inputs: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    result = cast("Tensor", aten.convolution.default(inputs, weight, None, *options)).float()
    return result if bias is None else result.add_(bias.view(-1, *[1] * (result.dim() - 2)))


def _convolution_backward(*args: Any) -> tuple[Tensor | None, ...]:
    gradients = aten.convolution_backward.default(*args)
    return tuple(None if gradient is None else gradient.float() for gradient in gradients)


CUDA: Mapping[object, Callable[..., Any]] = {
    aten.mm.default: _mm,
    aten.mm.out: _mm_out,
    aten.bmm.default: _bmm,
    aten.bmm.out: _bmm_out,
    aten.addmm.default: _addmm,
    aten.baddbmm.default: _baddbmm,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
}
