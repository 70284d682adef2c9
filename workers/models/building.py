"""Build linear, mlp and plug-in modules, and predict with a trained one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ridgeway.errors import JobUnrunnable
from ridgeway.plugins import BUILT_IN_MODELS, MODEL_PLUGINS, installed
from ridgeway.spec.models import LinearModel, MlpModel, ModelSpec, PluginModel
from ridgeway.spec.spec import JobSpec
from workers.guard import guarded
from workers.heeding import Interrupted, heed
from workers.models.skip import SkipNet

# Rows of a forward pass outside of minibatches; a constant keeps results bitwise.
ROWS_AT_ONCE = 1024


class RowSource(Protocol):
    """Rows (n, d): a tensor, or what gives its slices as tensors."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: slice, /) -> Tensor: ...


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
}


def trainable_models() -> list[str]:
    """Return every `model.kind` that can be trained here; plug-ins are named, not imported."""
    return [*sorted(BUILT_IN_MODELS), *sorted(installed(MODEL_PLUGINS) - BUILT_IN_MODELS)]


def build_model(
    model_spec: ModelSpec, inputs: int, outputs: int, *, dropout: bool = False
) -> nn.Module:
    """Build a module from (batch, inputs) to (batch, outputs), initialised by torch's generator.

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


def _linear(inputs: int, outputs: int) -> nn.Module:
    """Build a layer of zeros: the problem is convex, and zeros are what a penalty looks for."""
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
    layers.append(nn.Linear(widths[-1], outputs))
    return SkipNet(layers, inputs, outputs) if model_spec.skip else nn.Sequential(*layers)


def _plugin(model_spec: PluginModel, inputs: int, outputs: int) -> nn.Module:
    name, failed = model_spec.kind, f"could not be built with {model_spec.options}"
    with unrunnable_where_it_fails(name, failed):
        # Imported once a process: no draw and no default may depend on when that is.
        with torch.random.fork_rng(devices=[]), guarding(model_spec, seed=0):
            make = _entry_point(name).load()
        # What the weights are drawn with decides what else the plug-in draws as it builds.
        with guarding(model_spec, seed=torch.initial_seed()):
            made = make(inputs, outputs, **model_spec.options)
    with guarding(model_spec, seed=0):
        _check(name, made, inputs, outputs)
    return made


def guarding(model_spec: ModelSpec, seed: int) -> AbstractContextManager[None]:
    """Return a guard around all that may call the model; none is needed where it is ours."""
    if isinstance(model_spec, PluginModel):
        return guarded(f"the model plug-in '{model_spec.kind}'", seed)
    return nullcontext()


def _check(name: str, made: Any, inputs: int, outputs: int) -> None:
    if not isinstance(made, nn.Module):
        raise JobUnrunnable(f"model '{name}' gave a {type(made).__name__}, not a torch.nn.Module")
    _check_output(name, made, inputs, outputs)


def _entry_point(name: str) -> EntryPoint:
    for point in entry_points(group=MODEL_PLUGINS, name=name):
        return point
    raise JobUnrunnable(f"model '{name}' is not installed here; offered: {trainable_models()}")


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
    """Raise JobUnrunnable for whatever a plug-in's code raises, sys.exit() included."""
    try:
        yield
    except (JobUnrunnable, Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise JobUnrunnable(f"model '{name}' {what}: {type(error).__name__}: {error}") from error


def predict(
    spec: JobSpec, parameters: Mapping[str, Tensor], inputs: RowSource, outputs: int
) -> Tensor:
    """Return logits (n, outputs) of one trained model; regression: the standardised prediction.

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
        logits: list[Tensor] = []
        for start in range(0, max(1, len(inputs)), ROWS_AT_ONCE):
            heed()
            # A copy: a module may write into what it is given.
            block = inputs[start : start + ROWS_AT_ONCE].to(first.device, first.dtype, copy=True)
            logits.append(functional_call(model, state, (block,), strict=True))
        return torch.cat(logits)
