"""A model's trained parameters, which of them are penalised, and in which groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from workers.models.skip import SkipNet
from workers.models.traits import NORMALISATIONS


@dataclass(frozen=True)
class Parameter:
    """One parameter, whether it is penalised, and its groups.

    `view` splits its shape so that fixing the axes `kept` leaves one group of group_lasso.
    skips: it is a skip layer's, whose inputs are those of the model.
    """

    name: str
    shape: tuple[int, ...]
    penalised: bool
    view: tuple[int, ...]
    kept: tuple[int, ...]
    skips: bool = False


def describe_parameters(
    model: nn.Module, penalize: Literal["weights", "all"], group_by: Literal["input", "neuron"]
) -> list[Parameter]:
    """Describe the model's trained parameters, shared ones once; frozen ones stay as they are.

    Weights are the parameters of two dimensions or more that are neither a bias nor a
    normalisation's; `all` takes every parameter.
    """
    described: list[Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        owner = model.get_submodule(name.rpartition(".")[0])
        shape = tuple(parameter.shape)
        penalised = penalize == "all" or _is_weight(name, shape, owner)
        view, kept = _groups(shape, owner, group_by)
        skips = isinstance(model, SkipNet) and owner is model.skip
        described.append(Parameter(name, shape, penalised, view, kept, skips))
    return described


def fixed_state(model: nn.Module) -> dict[str, Tensor]:
    """Return what training takes no gradient of, by name: buffers and frozen parameters."""
    frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    return {**dict(model.named_buffers()), **frozen}


def _is_weight(name: str, shape: tuple[int, ...], owner: nn.Module) -> bool:
    called_bias = name.rpartition(".")[2].startswith("bias")
    return len(shape) >= 2 and not called_bias and not isinstance(owner, NORMALISATIONS)


def _groups(
    shape: tuple[int, ...], owner: nn.Module, group_by: Literal["input", "neuron"]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return a view of the parameter, and the axes that number its groups.

    `input`: the outgoing weights of a unit, a column of nn.Linear's (out, in), an input channel of
    a convolution, a row of an embedding. `neuron`: the incoming ones. Parameters of one
    dimension (biases, gains) are groups of one.
    """
    if len(shape) < 2:
        return (math.prod(shape),), (0,)
    channels = owner.groups if isinstance(owner, _ConvNd) else 1
    # Grouped convolutions: (groups, first axis within the group, second axis, kernel...).
    view = (channels, shape[0] // channels, *shape[1:])
    inputs_first = isinstance(owner, _ConvTransposeNd | nn.Embedding | nn.EmbeddingBag)
    return view, (0, 1) if inputs_first == (group_by == "input") else (0, 2)
