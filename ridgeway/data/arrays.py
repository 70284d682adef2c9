"""npz uploads: X (rows, inputs) of numbers and y (rows,); no pickle is ever read."""

from __future__ import annotations

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow  # pyright: ignore[reportMissingTypeStubs] - it ships none

from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

Array = npt.NDArray[Any]
pa: Any = pyarrow


def bad_array(message: str) -> InvalidInput:
    """Return the error for a file whose arrays can't be used."""
    return InvalidInput.of("file", None, message)


def read_npz(path: Path, settings: Settings) -> Any:
    """Read a table of X's columns x0, x1, ... (or `feature_names`) and y's, called `target`."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if not {"X.npy", "y.npy"} <= members.keys():
                met = ", ".join(sorted(members)[:5])
                message = f"is a zip file without the arrays X and y; it holds: {met[:200]}"
                raise bad_array(f"{message} (a spreadsheet? save it as CSV)")
            wanted = [
                members[name] for name in ("X.npy", "y.npy", "feature_names.npy") if name in members
            ]
            arrays = _read_members(archive, wanted, settings.max_upload_bytes)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,  # an encrypted member
        ValueError,  # a member's name that is no UTF-8
        struct.error,
    ) as error:
        raise bad_array(f"is a broken npz file: {str(error)[:300]}") from None
    return arrays_to_table(
        arrays["X.npy"], arrays["y.npy"], arrays.get("feature_names.npy"), settings
    )


def _read_members(
    archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], limit: int
) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for member in members:
        with archive.open(member) as file:
            data = file.read(limit + 1)
        limit -= len(data)
        if limit < 0:
            raise bad_array(f"unpacks to too many bytes at {member.filename}")
        arrays[member.filename] = _array(data, member.filename.removesuffix(".npy"))
    return arrays


def _array(data: bytes, name: str) -> Array:
    """Read the array in an .npy file's bytes; its claims are checked before memory is taken."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read_header(file)
    except (
        ValueError,
        SyntaxError,
        tokenize.TokenError,
        TypeError,
        RecursionError,
        MemoryError,
        UserWarning,
    ) as error:
        raise bad_array(f"array {name} has a broken header: {str(error)[:200]}") from None
    if dtype.hasobject:
        raise bad_array(f"array {name} holds Python objects, which are never read")
    if dtype.subdtype is not None:
        raise bad_array(f"array {name} holds arrays of its own; met {dtype}")
    if any(length < 0 for length in shape):
        raise bad_array(f"array {name} has the shape {shape}, which no array has")
    size = dtype.itemsize
    for length in shape:
        size *= length
    left = len(data) - file.tell()
    if size != left or dtype.itemsize == 0:
        raise bad_array(f"array {name} should have {size:,} bytes of values and has {left:,}")
    array = np.frombuffer(data, dtype, offset=file.tell())
    try:
        return array.reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError) as error:  # (2**70, 0) takes no bytes either
        raise bad_array(f"array {name} can't have its shape: {str(error)[:200]}") from None


def arrays_to_table(
    inputs: Array, target: Array, names: Array | None = None, settings: Settings | None = None
) -> Any:
    """Join X (rows, inputs) and y (rows,) to a table whose last column is the target."""
    if inputs.ndim != 2 or inputs.dtype.kind not in "biuf":
        raise bad_array(f"X must be numbers in two dimensions; met {_kind(inputs)}")
    if target.ndim != 1 or target.dtype.kind not in "biufU":
        raise bad_array(f"y must be numbers or texts in one dimension; met {_kind(target)}")
    if len(inputs) != len(target):
        raise bad_array(f"X has {len(inputs):,} rows, y {len(target):,}")
    if settings is not None and inputs.shape[1] >= settings.max_columns:
        raise bad_array(f"X has {inputs.shape[1]:,} columns; at most {settings.max_columns - 1:,}")
    labels = _names(names, inputs.shape[1])
    # Wide floats and halves become doubles, which is what is kept.
    with np.errstate(over="ignore"):
        columns = [pa.array(inputs[:, index].astype(np.float64)) for index in range(len(labels))]
        if target.dtype.kind == "f":
            target = target.astype(np.float64)
    try:
        native = target.astype(target.dtype.newbyteorder("="))
        columns.append(pa.array(native.tolist() if native.dtype.kind == "U" else native))
    except ValueError as error:
        raise bad_array(f"y holds text that is no Unicode: {str(error)[:200]}") from None
    return pa.table(columns, names=[*labels, "target"])


def _kind(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _names(names: Array | None, count: int) -> list[str]:
    if names is None:
        return [f"x{index}" for index in range(count)]
    if names.shape != (count,) or names.dtype.kind != "U":
        message = f"feature_names must be {count} texts, one for each column of X"
        raise bad_array(f"{message}; met {_kind(names)}")
    try:
        texts = [str(name) for name in names.tolist()]
        "".join(texts).encode()
    except ValueError:
        raise bad_array("feature_names hold text that is no Unicode") from None
    return texts
