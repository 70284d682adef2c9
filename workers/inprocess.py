"""A worker in a process that is somebody else's: a program's, a notebook's.

It leaves the process as it found it: torch's threads, and whatever generators draw next.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator
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
HEED_SECONDS = 0.2  # between two looks whether to wait on


@contextmanager
def worker_here(
    database: Database, store: Store, settings: Settings, device: str, heed: Callable[[], None]
) -> Generator[Worker]:
    """Lend a worker for a block in which it may run.

    device: auto, cpu, cuda or cuda:N; InvalidInput for another. heed: asked while another thread's
    worker is waited for; whatever it raises ends that.
    """
    with _one_at_a_time(heed), _as_it_was():
        torch.set_num_threads(1)  # as in a worker's own process
        yield Worker(database, store, settings, new_id(), device_of(device))


@contextmanager
def _one_at_a_time(heed: Callable[[], None]) -> Generator[None]:
    while not _ONE_AT_A_TIME.acquire(timeout=HEED_SECONDS):
        heed()
    try:
        yield
    finally:
        _ONE_AT_A_TIME.release()


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
