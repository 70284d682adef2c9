"""A worker in a process that is somebody else's: a program's, a notebook's.

It leaves the process as it found it: torch's threads, and whatever generators draw next.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import torch

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs.lifecycle import new_id
from ridgeway.settings import Settings
from workers.loop.device import device_of
from workers.loop.worker import Worker

# What a worker sets of its process is set for all threads: one job after the other.
_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def worker_here(
    database: Database, store: Store, settings: Settings, device: str
) -> Generator[Worker]:
    """Lend a worker for a block in which it may run.

    device: auto, cpu, cuda or cuda:N; InvalidInput for another.
    """
    with _ONE_AT_A_TIME, _as_it_was():
        torch.set_num_threads(1)  # as in a worker's own process
        yield Worker(database, store, settings, new_id(), device_of(device))


@contextmanager
def _as_it_was() -> Generator[None]:
    threads = torch.get_num_threads()
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)
