"""Penalties that packages beside the workers offer by the entry points `ridgeway.penalties`."""

from __future__ import annotations

import math
from importlib.metadata import entry_points
from typing import Any

import torch

from ridgeway.errors import JobUnrunnable
from ridgeway.plugins import PENALTY_PLUGINS, installed
from ridgeway.spec.names import PENALTY_NAMES, PenaltyName
from workers.guard import guarded
from workers.penalties.base import Penalty
from workers.penalties.components import Components


def offered_penalties() -> list[PenaltyName]:
    """Return every name that a search here may have; plug-ins are named, not imported."""
    return [*PENALTY_NAMES, *sorted(installed(PENALTY_PLUGINS) - {*PENALTY_NAMES})]


def plugin_penalty(name: PenaltyName) -> Penalty:
    """Import the penalty of this name: an instance of Penalty, or a class that makes one.

    JobUnrunnable where there is none, it raises, or it is something else.
    """
    for point in entry_points(group=PENALTY_PLUGINS, name=name):
        try:
            with torch.random.fork_rng(devices=[]), guarded(f"the penalty plug-in '{name}'", 0):
                found: Any = point.load()
                made = found() if isinstance(found, type) else found
                return _checked(name, made)
        except JobUnrunnable:
            raise
        except Exception as error:  # a plug-in may raise anything; the job's owner must read it
            kind = type(error).__name__
            raise JobUnrunnable(f"penalty '{name}' could not be made: {kind}: {error}") from error
    raise JobUnrunnable(f"penalty '{name}' is not installed here; offered: {offered_penalties()}")


def _checked(name: PenaltyName, made: Any) -> Penalty:
    if not isinstance(made, Penalty):
        raise JobUnrunnable(f"penalty '{name}' is a {type(made).__name__}, not a Penalty")
    if made.name != name:
        raise JobUnrunnable(f"penalty '{name}' calls itself '{made.name}'")
    found: Any = made.components(1.0, 0.0)
    if not isinstance(found, Components):
        raise JobUnrunnable(f"penalty '{name}' has a {type(found).__name__}, not Components")
    if not all(math.isfinite(part) and part >= 0 for part in vars(found).values()):
        raise JobUnrunnable(f"penalty '{name}' has a component that is no strength: {found}")
    if made.hierarchical or found.hierarchy > 0:
        raise JobUnrunnable(
            f"penalty '{name}' is of a skip layer, which no job is asked to have for a plug-in's"
        )
    if made.adaptive or found.adaptive > 0:
        raise JobUnrunnable(f"penalty '{name}' is adaptive, which plug-ins' are not")
    says = (made.sparse, made.grouped, made.concave)
    does = (found.sparse, found.group > 0, found.concave)
    if says != does:
        raise JobUnrunnable(
            f"penalty '{name}' is sparse, grouped, concave: {says} by what it says, "
            f"{does} by its components"
        )
    return made
