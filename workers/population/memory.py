"""How much memory a job takes of a worker, estimated before it is taken.

Where a control group limits memory the kernel kills who goes beyond it: no allocation fails that a
worker could react to. So a population is trained in parts that fit into what is free, and a job of
which not even one member fits is refused with its need. benchmarks/memory.py compares the estimate
with what is measured.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from ridgeway.errors import JobUnrunnable
from ridgeway.host.memory import Room, room
from ridgeway.spec.models import MlpModel, PluginModel
from ridgeway.spec.names import OPTIMIZER_ROWS
from ridgeway.spec.profiles import DatasetProfile, encoded_width
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import HoldoutValidation
from workers.data.splits import HOLDOUTS
from workers.optimizers.precision import dtype_of

SHARE = 0.5  # of what is free: of a step's temporaries, and what others take meanwhile
DEVICE_SHARE = 0.4  # of what is free of a GPU, for one of its kinds of rows
ROW_BYTES, FOLD_ROW_BYTES = 120, 100  # of a streamed row: once, and on each fold
BLOCKS_BYTES = 2**29  # of rows and logits on their way, whatever the number of rows
WIDE = 8  # bytes of a float64, as tables and encodings have


def preparing_bytes(spec: JobSpec, rows: int, columns: int, inputs: int) -> int:
    """Return the most that a table takes on its way to a job's folds.

    columns: as it is stored; inputs: once encoded.
    """
    table, encoded = WIDE * rows * columns, WIDE * rows * inputs
    return 5 * table + 6 * encoded + _folds_bytes(spec, rows, inputs)


def training_bytes(spec: JobSpec, rows: int, inputs: int) -> int:
    """Return what a job's rows take while its members train, beside what those take."""
    encoded, folds = WIDE * rows * inputs, _folds_bytes(spec, rows, inputs)
    # The folds again as training reads them; the encoding stays for the refit.
    kept = encoded + 2 * folds
    if not OPTIMIZER_ROWS[spec.optimizer].has_rates:
        kept += folds + 3 * encoded  # the design, made of one fold in float64 after the other
    return kept


def _folds_bytes(spec: JobSpec, rows: int, inputs: int) -> int:
    # Every fold has every row outside the test set, to train on or to judge by.
    return spec.folds * rows * inputs * dtype_of(spec).itemsize


def encoded_inputs(spec: JobSpec, profile: DatasetProfile) -> int:
    """Return how many inputs a data set's columns become: one for each number, level and gap."""
    apart = {spec.target, *spec.apart}
    return sum(
        encoded_width(column.taken_as(spec.columns.get(column.name, column.stored_kind)))
        for column in profile.columns
        if column.name not in apart
    )


def building_bytes(spec: JobSpec, inputs: int, outputs: int) -> int:
    """Return what one member takes, from its building on, of a model whose layers are known.

    A plug-in's is known when it has been built.
    """
    if isinstance(spec.model, PluginModel):
        return 0
    hidden = spec.model.hidden if isinstance(spec.model, MlpModel) else ()
    columns = sum((before + 1) * after for before, after in pairwise([inputs, *hidden, outputs]))
    if isinstance(spec.model, MlpModel) and spec.model.skip:
        columns += inputs * outputs
    # As the module, as its columns, stacked; weights, gradient and the optimiser's state.
    return 8 * spec.folds * columns * dtype_of(spec).itemsize


def streamed_bytes(spec: JobSpec, rows: int) -> int:
    """Return what a job's rows take of a worker's memory where their inputs stay in a file.

    Targets, weights, and the orders of positions that splits and epochs are drawn as; and blocks.
    A holdout's finalists are confirmed on several at a time.
    """
    folds = HOLDOUTS if isinstance(spec.validation, HoldoutValidation) else spec.folds
    return ROW_BYTES * rows + FOLD_ROW_BYTES * folds * rows + BLOCKS_BYTES


def fits_device(needed: int, device: torch.device) -> bool:
    """Return whether so many bytes may lie in the device's memory beside members."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return needed <= DEVICE_SHARE * free


def free_floats(itemsize: int) -> int:
    """Return how many numbers of so many bytes members may have in training at one time."""
    return int(SHARE * room().free) // itemsize


def require_room(needed: float, taken: float = 0) -> None:
    """Raise JobUnrunnable where so many bytes can't be had; some of them are taken already."""
    found = room()
    found = Room(found.free + taken, found.limit)
    if needed <= found.free:
        return
    raise JobUnrunnable(
        f"This job needs about {_gigabytes(needed)} a worker, and {_gigabytes(found.free)} are "
        f"free (of {_gigabytes(found.limit)}). Bring fewer rows or columns, ask for fewer folds or "
        "a smaller model, lower RIDGEWAY_MAX_POPULATION, or let fewer workers share the machine."
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2g} GB" if size < 99.5e9 else f"{size / 1e9:.0f} GB"
