"""Ridgeway: which penalty, and how strong?

`from ridgeway import Client` is all that a program or a notebook needs, and `load_model` what
predicts; importing them brings no SQLAlchemy, Optuna, FastAPI or torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ridgeway.client.client import Client
    from ridgeway.client.loading import load_model
    from ridgeway.errors import (
        Conflict,
        Forbidden,
        InvalidInput,
        JobFailed,
        NotFound,
        RidgewayError,
        Unreachable,
    )
    from ridgeway.spec.spec import JobSpec

__all__ = [
    "Client",
    "Conflict",
    "Forbidden",
    "InvalidInput",
    "JobFailed",
    "JobSpec",
    "NotFound",
    "RidgewayError",
    "Unreachable",
    "load_model",
]
_HOME = {
    "Client": "ridgeway.client.client",
    "JobSpec": "ridgeway.spec.spec",
    "load_model": "ridgeway.client.loading",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that `import ridgeway` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'ridgeway' has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "ridgeway.errors")), name)
