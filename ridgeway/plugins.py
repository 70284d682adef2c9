"""Plug-ins: models, data sets and penalties that packages beside us offer by entry points.

Metadata is read, never imported: a plug-in's code runs in workers alone.
"""

from __future__ import annotations

from importlib.metadata import entry_points

MODEL_PLUGINS = "ridgeway.models"
DATASET_PLUGINS = "ridgeway.datasets"
PENALTY_PLUGINS = "ridgeway.penalties"
BUILT_IN_MODELS = frozenset({"linear", "mlp"})


def installed(group: str) -> set[str]:
    """Return the names that packages installed beside us offer under this entry-point group."""
    return {entry.name for entry in entry_points(group=group)}


def offered() -> frozenset[tuple[str, str, str, str]]:
    """Return every plug-in that is installed beside us: group, name, what it is, its version."""
    groups = (MODEL_PLUGINS, DATASET_PLUGINS, PENALTY_PLUGINS)
    return frozenset(
        (group, entry.name, entry.value, entry.dist.version if entry.dist else "")
        for group in groups
        for entry in entry_points(group=group)
    )
