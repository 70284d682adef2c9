"""Load a data set's rows, wherever they come from, as one kind of table."""

from __future__ import annotations

import ctypes
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ridgeway.data.bundled import BUNDLED
from ridgeway.data.catalogue import StoredDataset
from ridgeway.data.store import Store
from ridgeway.data.tables import Table, canonical_table, check_names, from_parquet
from ridgeway.errors import InvalidInput, JobUnrunnable, NotFound, StoreDamaged
from ridgeway.plugins import DATASET_PLUGINS, installed
from workers.data.bundled import bundled_frame
from workers.guard import guarded

if TYPE_CHECKING:
    import pandas as pd


def offered_datasets() -> set[str]:
    """Return the names that this worker can load beside uploads: bundled ones and plug-ins'."""
    return set(BUNDLED) | installed(DATASET_PLUGINS)


def load_frame(name: str, stored: StoredDataset | None, store: Store) -> pd.DataFrame:
    """Load the rows of a data set: an upload from the store, else bundled, else a plug-in's.

    JobUnrunnable where the stored table is not the one that was written, or the plug-in fails.
    """
    if stored is not None:
        return _stored_frame(name, stored, store)
    return bundled_frame(name) if name in BUNDLED else _plugin_frame(name)


def give_back_memory() -> None:
    """Give back to the system what was freed, which Arrow's pool and the C library would keep."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # where the C library is glibc
        trim(0)


def _stored_frame(name: str, stored: StoredDataset, store: Store) -> pd.DataFrame:
    try:
        with store.local(stored.address, stored.stored_checksum) as path:
            return from_parquet(path.read_bytes()).to_pandas()
    except (NotFound, StoreDamaged) as error:
        raise JobUnrunnable(f"Data set '{name}': {error}") from None


def _plugin_frame(name: str) -> pd.DataFrame:
    entry = next(iter(entry_points(group=DATASET_PLUGINS, name=name)), None)
    if entry is None:
        raise JobUnrunnable(f"No package beside this worker offers the data set '{name}'.")
    culprit = f"the data set's plug-in '{name}'"
    try:
        # Each worker must read the same rows, whatever it did before.
        with torch.random.fork_rng(devices=[]), guarded(culprit, seed=0):
            make = entry.load()
        with torch.random.fork_rng(devices=[]), guarded(culprit, seed=0):
            torch.manual_seed(0)
            return _frame_of(make())
    except Exception as error:  # a plug-in may raise anything; the job's owner must read it
        kind = type(error).__name__
        raise JobUnrunnable(f"Data set '{name}': the plug-in failed: {kind}: {error}") from error


def _frame_of(made: Any) -> pd.DataFrame:
    """Return a DataFrame as it is; (X, y) arrays as columns x0, x1, ... and `target`."""
    import pandas as pd

    if isinstance(made, pd.DataFrame):
        return made
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(f"must return a DataFrame or (X, y), not {type(made).__name__}")
    inputs, target = (np.asarray(array) for array in made)
    if inputs.ndim != 2 or target.ndim != 1 or len(inputs) != len(target):
        shapes = f"{inputs.shape} and {target.shape}"
        raise ValueError(f"X must be (rows, columns) and y (rows,); met shapes {shapes}")
    frame = pd.DataFrame(inputs, columns=[f"x{index}" for index in range(inputs.shape[1])])
    return frame.assign(target=target)


def canonical_table_of(frame: pd.DataFrame, name: str) -> Table:
    """Return the rows as uploads are kept: numbers as float64, all else as text.

    JobUnrunnable where they are no table of numbers and texts.
    """
    import pyarrow as pa

    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    try:
        check_names(list(frame.columns))
        return canonical_table(pa.Table.from_pandas(frame, preserve_index=False))
    except InvalidInput as error:
        raise JobUnrunnable(f"Data set '{name}': {error.errors[0].message}") from None
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise JobUnrunnable(
            f"Data set '{name}' is no table of numbers and texts: {error}"
        ) from None
