"""Tables that are put aside in a file and read in place, however large they are.

Of a mapped file the system keeps in memory what is in use, and takes it back when somebody needs
it. The file has no name, lies in the temporary folder (TMPDIR), and goes with the tables.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow ships no types.

from __future__ import annotations

import errno
import mmap
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Self

import pyarrow as pa

from ridgeway.errors import NO_ROOM, StoreAway


class Aside:
    """A file of tables, in Arrow's format for streams. StoreAway where the disk has no room.

    To be entered; the tables that it has given stay when it is left.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed on leaving
        self._ends = [0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, schema: Any, batches: Iterable[Any]) -> None:
        """Put a table aside, which comes in batches of rows."""
        try:
            with pa.ipc.new_stream(pa.PythonFile(self._file, "w"), schema) as stream:
                for batch in batches:
                    stream.write_batch(batch)
            self._file.flush()
        except OSError as error:
            if error.errno in NO_ROOM:
                message = "The temporary folder has no room for what an upload is read into."
                raise StoreAway(message) from error
            raise
        self._ends.append(self._file.tell())

    def tables(self) -> list[Any]:
        """Return the tables, in the order in which they came."""
        try:
            mapped = pa.py_buffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            if error.errno == errno.ENOMEM:  # of addresses, where these are limited
                raise MemoryError from error
            raise
        return [
            pa.ipc.open_stream(mapped.slice(start, end - start)).read_all()
            for start, end in pairwise(self._ends)
        ]

    def table(self) -> Any:
        """Return the columns of all tables as one table."""
        columns: dict[str, Any] = {}
        for part in self.tables():
            columns |= zip(part.column_names, part.columns, strict=True)
        return pa.table(columns)
