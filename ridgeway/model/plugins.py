"""A plug-in's model, built by its package and run by torch: where both are installed."""

# pyright: reportUnknownMemberType=false
# torch's own types leave much out.

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from safetensors import SafetensorError

from ridgeway.errors import InvalidInput
from ridgeway.model.file import DAMAGE, Description, damaged
from ridgeway.model.preparation import Floats
from ridgeway.plugins import MODEL_PLUGINS


@dataclass(frozen=True)
class Plugin:
    """A module in evaluation and its state by name: parameters and buffers."""

    module: Any
    state: dict[str, Any]

    @classmethod
    def read(cls, description: Description, data: bytes) -> Plugin:
        """Build the module; InvalidInput (field `model.kind`) where torch or the plug-in lacks.

        Unreadable where the tensors are damaged.
        """
        kind = description.kind
        try:
            import torch
            from safetensors.torch import load
        except ModuleNotFoundError as error:
            message = f"is a plug-in's model, which needs torch: {error}"
            raise InvalidInput.of("model.kind", kind, message) from None
        offered = entry_points(group=MODEL_PLUGINS)
        if kind not in offered.names:
            have = ", ".join(sorted(offered.names)) or "none"
            message = f"is a plug-in's model that no package here offers; offered: {have}"
            raise InvalidInput.of("model.kind", kind, message)
        try:
            state = load(data)
            dtype = next(value.dtype for value in state.values() if value.is_floating_point())
        except (SafetensorError, StopIteration, *DAMAGE) as error:
            raise damaged(error) from None
        with torch.random.fork_rng(devices=[]):  # its initial weights are thrown away
            make = offered[kind].load()
            made = make(len(description.inputs), description.outputs, **description.options)
        return cls(made.to(dtype=dtype).eval(), state)

    @property
    def weights(self) -> None:
        """Return None: which of its weights belong to which input nobody knows."""

    def outputs(self, inputs: Floats) -> Floats:
        """Return the outputs (n, outputs) for standardised inputs (n, d)."""
        import torch

        dtype = next(value.dtype for value in self.state.values() if value.is_floating_point())
        with torch.no_grad():
            given = torch.from_numpy(inputs).to(dtype)
            made = torch.func.functional_call(self.module, self.state, (given,), strict=True)
        return np.asarray(made.double().numpy(), np.float64)
