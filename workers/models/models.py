"""What is trained: linear, mlp and plug-in modules, and which of their parameters are penalised."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from ridgeway.errors import JobUnrunnable
from ridgeway.jobs.fleet import BUILT_IN_MODELS, MODEL_PLUGINS, installed
from ridgeway.spec.models import LinearModel, MlpModel, ModelSpec, PluginModel
from ridgeway.spec.spec import JobSpec

ROWS_AT_ONCE = (
    1024  # rows of a forward pass outside of minibatches; a constant keeps results bitwise
)

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}
NORMALISATIONS = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


# --- building ---------------------------------------------------------------------------------


def offered_models() -> list[str]:
    """Every `model.kind` that can be trained here; plug-ins are named, not imported."""
    return [*sorted(BUILT_IN_MODELS), *sorted(installed(MODEL_PLUGINS) - BUILT_IN_MODELS)]


def build_model(
    model_spec: ModelSpec, inputs: int, outputs: int, *, dropout: bool = False
) -> nn.Module:
    """A fresh module from (batch, inputs) to (batch, outputs), initialised by torch's generator.

    dropout: whether the rate of its dropout layers is searched, so that it has to have some.
    JobUnrunnable where a plug-in is missing, raises, or gives something else.
    """
    if isinstance(model_spec, LinearModel):
        return _linear(inputs, outputs)
    if isinstance(model_spec, MlpModel):
        return _mlp(model_spec, inputs, outputs, dropout)
    model = _plugin(model_spec, inputs, outputs)
    if dropout and not any(type(module) is nn.Dropout for module in model.modules()):
        raise JobUnrunnable(
            f"model '{model_spec.kind}' has no torch.nn.Dropout layer whose rate could be searched"
        )
    return model


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) that can have another rate in each model.

    The rate is a buffer, and models called together share the draws that it is compared with.
    """

    rate: Tensor

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(rate))

    def forward(self, hidden: Tensor) -> Tensor:
        if not self.training:
            return hidden
        draws = torch.rand(hidden.shape, dtype=hidden.dtype, device=hidden.device)
        return hidden * (draws >= self.rate).to(hidden.dtype) / (1 - self.rate)


def with_own_dropout(model: nn.Module) -> nn.Module:
    """The model with every nn.Dropout turned into a `Dropout`, one for each place; in place."""
    for name, child in model._modules.items():  # named_children() leaves out what occurs twice
        if type(child) is nn.Dropout:
            model._modules[name] = Dropout(child.p)
        elif child is not None:
            with_own_dropout(child)
    return model


def _linear(inputs: int, outputs: int) -> nn.Module:
    """Starts at zero: the problem is convex, and zeros are what a penalty looks for."""
    layer = nn.Linear(inputs, outputs)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _mlp(model_spec: MlpModel, inputs: int, outputs: int, dropout: bool) -> nn.Module:
    widths = [inputs, *model_spec.hidden]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), ACTIVATIONS[model_spec.activation]()]
        if dropout or model_spec.dropout:
            layers.append(nn.Dropout(model_spec.dropout))
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))


def _plugin(model_spec: PluginModel, inputs: int, outputs: int) -> nn.Module:
    name = model_spec.kind
    with unrunnable_where_it_fails(name, f"could not be built with {model_spec.options}"):
        made = _entry_point(name).load()(inputs, outputs, **model_spec.options)
    if not isinstance(made, nn.Module):
        raise JobUnrunnable(f"model '{name}' gave a {type(made).__name__}, not a torch.nn.Module")
    _check_output(name, made, inputs, outputs)
    return made


def _entry_point(name: str) -> EntryPoint:
    for point in entry_points(group=MODEL_PLUGINS, name=name):
        return point
    raise JobUnrunnable(f"model '{name}' is not installed here; offered: {offered_models()}")


def _check_output(name: str, model: nn.Module, inputs: int, outputs: int) -> None:
    rows = 2
    model.eval()
    failed = f"failed on a batch of shape ({rows}, {inputs})"
    with unrunnable_where_it_fails(name, failed), torch.no_grad():
        answer: Any = model(torch.zeros(rows, inputs))
    if not isinstance(answer, Tensor):
        raise JobUnrunnable(f"model '{name}' answered a {type(answer).__name__}, not a tensor")
    if answer.shape != (rows, outputs):
        raise JobUnrunnable(
            f"model '{name}' answered the shape {tuple(answer.shape)} to a batch of shape "
            f"({rows}, {inputs}); ({rows}, {outputs}) is expected"
        )


@contextmanager
def unrunnable_where_it_fails(name: str, what: str) -> Iterator[None]:
    """JobUnrunnable for whatever a plug-in's code raises, sys.exit() included: no worker ends."""
    try:
        yield
    except (JobUnrunnable, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise JobUnrunnable(f"model '{name}' {what}: {type(error).__name__}: {error}") from error


def predict(
    spec: JobSpec, parameters: Mapping[str, Tensor], inputs: Tensor, outputs: int
) -> Tensor:
    """Logits (n, outputs) of one trained model; regression: the standardised prediction.

    parameters: all its parameters (shared ones once) and buffers, those that no state dict has
    included; inputs (n, d), standardised as its training rows were.
    """
    first = next(value for value in parameters.values() if value.is_floating_point())
    with torch.random.fork_rng(devices=[]):  # its initial weights are thrown away
        searched = spec.search.dropout is not None
        model = build_model(spec.model, inputs.shape[1], outputs, dropout=searched)
    model.to(first.device, first.dtype).eval()
    state = dict(parameters)
    with torch.no_grad():
        # A copy: a module may write into what it is given.
        blocks = inputs.to(first.device, first.dtype, copy=True).split(ROWS_AT_ONCE)
        return torch.cat([functional_call(model, state, (block,), strict=True) for block in blocks])


# --- parameters -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """One parameter and how the penalties see it.

    `view` splits its shape so that fixing the axes `kept` leaves one group of group_lasso.
    """

    name: str
    shape: tuple[int, ...]
    penalised: bool
    view: tuple[int, ...]
    kept: tuple[int, ...]


def describe_parameters(
    model: nn.Module, penalize: Literal["weights", "all"], group_by: Literal["input", "neuron"]
) -> list[Parameter]:
    """The model's trained parameters, shared ones once; frozen ones stay as they are.

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
        described.append(Parameter(name, shape, penalised, view, kept))
    return described


def fixed_state(model: nn.Module) -> dict[str, Tensor]:
    """What training takes no gradient of, by name: buffers and frozen parameters."""
    frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    return {**dict(model.named_buffers()), **frozen}


def _is_weight(name: str, shape: tuple[int, ...], owner: nn.Module) -> bool:
    called_bias = name.rpartition(".")[2].startswith("bias")
    return len(shape) >= 2 and not called_bias and not isinstance(owner, NORMALISATIONS)


def _groups(
    shape: tuple[int, ...], owner: nn.Module, group_by: Literal["input", "neuron"]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A view of the parameter, and the axes that number its groups.

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


def has_batch_statistics(model: nn.Module, inputs: int) -> bool:
    """Whether rows of a batch meet each other, so that padding would change the answer.

    That is so of BatchNorm, and taken to be so where training changes a buffer.
    """
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return True
    if next(model.buffers(), None) is None:
        return False
    tried = copy.deepcopy(model).train()
    first = next(tried.parameters())
    with torch.no_grad():
        tried(torch.zeros(2, inputs, dtype=first.dtype, device=first.device))
    after = dict(tried.named_buffers())
    return any(not torch.equal(value, after[name]) for name, value in model.named_buffers())


def normalisation_layers(model: nn.Module) -> list[str]:
    """The kinds of normalisation layers in the model, each once, sorted."""
    return sorted({type(m).__name__ for m in model.modules() if isinstance(m, NORMALISATIONS)})


def saved_floats_per_row(model: nn.Module, inputs: int) -> int:
    """Numbers that autograd keeps for each row of a batch: what activations will cost."""
    parameters = {p.data_ptr() for p in model.parameters()}
    first = next(model.parameters())
    counted = 0

    def count(saved: Tensor) -> Tensor:
        nonlocal counted
        counted += 0 if saved.data_ptr() in parameters else saved.numel()
        return saved

    model.eval()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved):
        model(torch.zeros(2, inputs, dtype=first.dtype, device=first.device))
    return max(1, cast("int", counted) // 2)
