"""What a worker tells of itself: what it can work on, where it runs, what it has measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

import torch

from ridgeway.fleet import WorkerRecord
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import BY_DEVICE, Sizes
from ridgeway.measures import Recorder
from ridgeway.settings import Settings
from workers.data.loading import offered_datasets
from workers.models.building import trainable_models
from workers.penalties.plugins import offered_penalties


def sizes_of(settings: Settings, device: torch.device) -> Sizes:
    """Return the sizes of populations that are trained on a device."""
    return BY_DEVICE[device.type].within(settings.max_population)


def claimant_of(worker_id: str, settings: Settings, device: torch.device) -> Claimant:
    """Return what a worker of this process can work on."""
    return Claimant(
        worker_id=worker_id,
        models=frozenset(trainable_models()),
        datasets=frozenset(offered_datasets()),
        penalties=frozenset(offered_penalties()),
        sizes=sizes_of(settings, device),
        device=device.type,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )


def record_of(claimant: Claimant, device: torch.device) -> WorkerRecord:
    """Return the row of a worker of this process."""
    return WorkerRecord(
        id=claimant.worker_id,
        host=platform.node(),
        pid=os.getpid(),
        device=str(device),
        version=version("ridgeway"),
        models=claimant.models,
        datasets=claimant.datasets,
        penalties=claimant.penalties,
    )


def measured(recorder: Recorder, device: torch.device) -> dict[str, Any]:
    """Return what a worker has measured since its start, as its row keeps it."""
    if device.type == "cuda":
        recorder.reach("gpu_memory_bytes", torch.cuda.max_memory_allocated(device))
    return recorder.stored()
