"""Encode a stored table into a file, in bounded memory: column by column, then rows by rows.

The first reading tells what each column becomes, as `workers.data.encoding.encode` does of a whole
table; the second writes the rows as they come. Of columns that are not kept as they are stored,
categories and dates among them, one number a row stays in memory between the two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.preprocessing import OneHotEncoder

from ridgeway.data.catalogue import StoredDataset
from ridgeway.data.row_files import RowFiles
from ridgeway.data.store import Store
from ridgeway.errors import JobUnrunnable, NotFound, StoreDamaged
from ridgeway.spec.columns import JobKind
from ridgeway.texts.numbers import NumberFormat
from workers.data.encoding import Encoding, Floats, column_kind, names_and_sources
from workers.data.matrix import Content, Matrix, matrix_of
from workers.data.splits import Positions
from workers.data.taking import Taken, taken
from workers.heeding import heed

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 2**14  # that are encoded
BYTES_AT_ONCE = 2**22  # that are read of a stored file
LAYOUT = 1  # counts the ways in which files were laid out


@dataclass(frozen=True)
class StreamedTable:
    """A stored table, read in parts. columns: those of its file, in their order."""

    checksum: str
    rows: int
    columns: tuple[str, ...]
    _file: pq.ParquetFile = field(repr=False)

    @classmethod
    @contextmanager
    def opened(cls, stored: StoredDataset, store: Store) -> Iterator[StreamedTable]:
        """Open the table of an upload; JobUnrunnable where it is not the one that was written."""
        with ExitStack() as kept:
            try:
                path = kept.enter_context(store.local(stored.address, stored.stored_checksum))
            except (NotFound, StoreDamaged) as error:
                raise JobUnrunnable(f"Data set '{stored.name}': {error}") from None
            # Without pre_buffer: it would read the bytes of a whole group of rows ahead.
            opened = pq.ParquetFile(path, buffer_size=BYTES_AT_ONCE, pre_buffer=False)
            table = kept.enter_context(opened)
            names = tuple(table.schema_arrow.names)
            yield cls(stored.stored_checksum, stored.rows, names, table)

    def frame(self, names: Sequence[str]) -> pd.DataFrame:
        """Read whole columns."""
        heed()
        read = self._file.read(columns=list(names), use_threads=False)
        return read.select(list(names)).to_pandas()  # a name with a point in it brings others

    def numbers(self, names: Sequence[str]) -> Iterator[Floats]:
        """Read columns of numbers as (n, columns), n rows after the other; NaN where missing."""
        read = self._file.iter_batches(ROWS_AT_ONCE, columns=list(names), use_threads=False)
        for batch in read:
            columns = batch.select(list(names)).columns
            values = np.empty((len(batch), len(columns)))
            for place, column in enumerate(columns):
                values[:, place] = column.to_numpy(zero_copy_only=False)
            yield values


@dataclass(frozen=True)
class Kept:
    """The rows of a table that a job uses.

    rows: their positions in the table, None for all. development: of those that are not sealed, the
    positions among the job's rows.
    """

    rows: Positions | None
    development: Positions


@dataclass(frozen=True)
class _Number:
    """A column of numbers. values (rows,): None where they are as in the table."""

    name: str
    values: Floats | None
    gap: bool  # missing in a development row
    incomplete: bool  # missing in any row
    single: bool  # float32 holds all of them


@dataclass(frozen=True)
class _Category:
    """A column of texts: its levels, and each row's place among them (rows,), -1 for none."""

    name: str
    levels: list[str | None]
    places: npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Layout:
    """What the columns of a table become."""

    numbers: Sequence[_Number]
    categories: Sequence[_Category]

    @property
    def gaps(self) -> Positions:
        return np.flatnonzero([number.gap for number in self.numbers])

    @property
    def incomplete(self) -> Positions:
        return np.flatnonzero([number.incomplete for number in self.numbers])

    @property
    def described(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        levels = {own.name: own.levels for own in self.categories}
        return names_and_sources([own.name for own in self.numbers], self.gaps, levels)

    @property
    def dtype(self) -> npt.DTypeLike:
        return np.float32 if all(number.single for number in self.numbers) else np.float64

    def blocks(self, table: StreamedTable, kept: Positions | None) -> Iterator[Floats]:
        """Encode the rows as they are read."""
        stored = [at for at, number in enumerate(self.numbers) if number.values is None]
        first = done = 0  # rows read, and rows of the job among them
        names = [self.numbers[at].name for at in stored]
        for read in table.numbers(names) if names else _nothing(table.rows):
            block = read
            if kept is not None:
                ends = np.searchsorted(kept, [first, first + len(read)])
                block = read[kept[ends[0] : ends[1]] - first]
            first += len(read)
            yield self._encoded(block, stored, slice(done, done + len(block)))
            done += len(block)

    def _encoded(self, block: Floats, stored: list[int], rows: slice) -> Floats:
        names, _ = self.described
        values = np.zeros((len(block), len(names)))
        values[:, stored] = block
        for at, number in enumerate(self.numbers):
            if number.values is not None:
                values[:, at] = number.values[rows]
        at = len(self.numbers)
        values[:, at : at + len(self.gaps)] = np.isnan(values[:, self.gaps])
        at += len(self.gaps)
        for category in self.categories:
            places = category.places[rows]
            there = np.flatnonzero(places >= 0)
            values[there, at + places[there]] = 1
            at += len(category.levels)
        return values


def _nothing(rows: int) -> Iterator[Floats]:
    for start in range(0, rows, ROWS_AT_ONCE):
        yield np.empty((min(ROWS_AT_ONCE, rows - start), 0))


def encode_into_file(
    table: StreamedTable,
    columns: Sequence[str],
    how: tuple[Mapping[str, JobKind], Mapping[str, NumberFormat]],
    kept: Kept,
    files: RowFiles,
) -> tuple[Encoding, dict[str, Taken]]:
    """Return the inputs as `encode` lays them out, in a file, and what the columns are taken as.

    how: what columns are taken as where that differs from how they are stored, and formats of
    numbers. JobUnrunnable where a column can't be taken so, and where the disk has no room.
    """
    found: dict[str, Taken] = {}
    numbers: list[_Number] = []
    categories: list[_Category] = []
    kinds, formats = how
    for name in columns:
        asked = kinds.get(name)
        raw = table.frame([name])
        raw = raw if kept.rows is None else raw.iloc[kept.rows].reset_index(drop=True)
        stored = raw.dtypes[name].kind == "f" and asked in (None, "number")
        own, told = taken(raw, kinds, formats)
        found |= told
        values = own[name].to_numpy()
        if column_kind(own.dtypes[name]) == "number":
            numbers.append(_number(name, values, kept.development, stored=stored))
        else:
            categories.append(_category(name, values, kept.development))
        del raw, own, values
        pa.default_memory_pool().release_unused()
    layout = _Layout(numbers, categories)
    return Encoding(
        _matrix(table, layout, found, kept, files), *layout.described, layout.incomplete
    ), found


def _matrix(
    table: StreamedTable,
    layout: _Layout,
    found: Mapping[str, Taken],
    kept: Kept,
    files: RowFiles,
) -> Matrix:
    names, sources = layout.described
    rows = table.rows if kept.rows is None else len(kept.rows)
    left = None if kept.rows is None else hashlib.sha256(kept.rows.tobytes()).hexdigest()
    kinds = {name: repr(own) for name, own in found.items()}
    whole = [LAYOUT, table.checksum, left, names, sources, kinds, str(np.dtype(layout.dtype))]
    name = hashlib.sha256(json.dumps(whole).encode()).hexdigest()
    shape = rows, len(names)
    content = Content(name, shape, layout.dtype, lambda: layout.blocks(table, kept.rows))
    return matrix_of(files, content)


def _number(name: str, values: Floats, development: Positions, *, stored: bool) -> _Number:
    missing = np.isnan(values)
    single = bool((missing | (values.astype(np.float32) == values)).all())
    gap = bool(missing[development].any())
    return _Number(name, None if stored else values, gap, bool(missing.any()), single)


def _category(name: str, values: npt.NDArray[Any], development: Positions) -> _Category:
    import pandas as pd

    codes, known = pd.factorize(values)  # -1 where missing
    texts = np.array([*known, None], object)
    met = np.unique(codes[development])
    encoder = OneHotEncoder().fit(texts[met][:, None])
    levels: list[str | None] = list(encoder.categories_[0])
    place = {level: at for at, level in enumerate(levels)}
    places = np.array([place.get(text, -1) for text in texts], np.int32)
    return _Category(name, levels, places[codes])
