"""A job's data, read and prepared: in memory, or in a file where they would take too much of it."""

from __future__ import annotations

from collections.abc import Callable

from ridgeway.data.bundled import BUNDLED
from ridgeway.data.catalogue import StoredDataset
from ridgeway.data.row_files import RowFiles
from ridgeway.errors import StoreRefuses
from ridgeway.host.memory import room
from ridgeway.spec.names import OPTIMIZER_ROWS
from ridgeway.spec.spec import JobSpec
from workers.data.loading import load_frame
from workers.data.prepare import (
    Prepared,
    check_and_prepare,
    prepare,
    prepare_stored,
    prepare_streamed,
)
from workers.data.streaming import StreamedTable
from workers.heeding import heed
from workers.loop.tools import Tools
from workers.objectives.losses import kind_of
from workers.population.memory import (
    WIDE,
    encoded_inputs,
    preparing_bytes,
    require_room,
    streamed_bytes,
)


def read_and_prepare(
    spec: JobSpec,
    stored: StoredDataset | None,
    tools: Tools,
    forget_others: Callable[[], None],
    *,
    first: bool,
) -> Prepared:
    """Return the job's data, prepared. stored: the upload; None for a bundled set or a plug-in's.

    forget_others: gives up what other jobs keep in memory here. first: whether no worker has begun
    with the job. JobUnrunnable where the data don't fit the job, this machine's memory or its disk;
    StoreRefuses where a store that answers can't read them.
    """
    try:
        return tools.outage.told_apart(
            lambda: _read_and_prepare(spec, stored, tools, forget_others, first=first)
        )
    except StoreRefuses as error:
        raise StoreRefuses(f"Data set '{spec.dataset}': {error}", error.key) from error


def _read_and_prepare(
    spec: JobSpec,
    stored: StoredDataset | None,
    tools: Tools,
    forget_others: Callable[[], None],
    *,
    first: bool,
) -> Prepared:
    if stored is not None and _streams(spec, stored, tools, forget_others):
        require_room(streamed_bytes(spec, stored.rows))
        files = RowFiles.of(tools.settings)
        with StreamedTable.opened(stored, tools.store) as table:
            return prepare_streamed(spec, table, stored.profile.formats, files)
    if stored is not None and first:
        _require_room(spec, stored, forget_others)
    frame = load_frame(spec.dataset, stored, tools.store)
    heed()
    if stored is not None:
        return prepare_stored(spec, frame, stored.profile.formats)
    return (prepare if spec.dataset in BUNDLED else check_and_prepare)(spec, frame)


def can_stream(spec: JobSpec) -> bool:
    """Return whether rows can stay out of memory: for minibatches, or where moments tell all."""
    if OPTIMIZER_ROWS[spec.optimizer].has_rates:
        return True
    return spec.task == "regression" and kind_of(spec, 1) == "regression"


def _streams(
    spec: JobSpec, stored: StoredDataset, tools: Tools, forget_others: Callable[[], None]
) -> bool:
    """Return whether the rows stay in a file: where they are large, or memory is short."""
    if not can_stream(spec):
        return False
    if WIDE * stored.rows * encoded_inputs(spec, stored.profile) > tools.settings.stream_bytes:
        return True
    return not _has_room(spec, stored, forget_others)


def _has_room(spec: JobSpec, stored: StoredDataset, forget_others: Callable[[], None]) -> bool:
    """Return whether the rows can be in memory, if need be in place of other jobs'."""
    needed = _needed(spec, stored)
    if needed > room().free:
        forget_others()
    return needed <= room().free


def _require_room(spec: JobSpec, stored: StoredDataset, forget_others: Callable[[], None]) -> None:
    if not _has_room(spec, stored, forget_others):
        require_room(_needed(spec, stored))


def _needed(spec: JobSpec, stored: StoredDataset) -> float:
    columns, inputs = len(stored.profile.columns), encoded_inputs(spec, stored.profile)
    return preparing_bytes(spec, stored.rows, columns, inputs)
