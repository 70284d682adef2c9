"""The bytes of a text file, made UTF-8."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from ridgeway.errors import InvalidInput

BLOCK = 2**22  # bytes that are looked at at once
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def as_utf8(data: bytes, field: str = "file") -> tuple[bytes, int | None]:
    """Return the same text in UTF-8, without a byte order mark, as `utf8_file` does of a file."""
    file, strange = utf8_file(io.BytesIO(data), io.BytesIO(), field)
    return file.read(), strange


def utf8_file(
    file: BinaryIO, recoded: BinaryIO, field: str = "file"
) -> tuple[BinaryIO, int | None]:
    """Return a file of the same text in UTF-8, behind its byte order mark, and a strange row.

    That is the first row which was not UTF-8; None of UTF-8 and UTF-16. All else is read as
    Windows-1252, which Latin-1 is a part of, and which is no more than likely. It is the file
    itself, from its beginning, where that is UTF-8, else `recoded`, an empty one.
    InvalidInput (of the field) for bytes that no text of it has.
    """
    head = file.read(3)
    if codec := _MARKS.get(head[:2]):
        file.seek(2)
        try:
            return _recoded(file, codec, recoded), None
        except UnicodeError as error:
            raise InvalidInput.of(field, None, f"is broken UTF-16: {error}"[:300]) from None
    start = len(head) if head == codecs.BOM_UTF8 else 0
    file.seek(start)
    strange = _first_strange(file)
    file.seek(start)
    if strange is None:
        return file, None
    row, byte = strange
    met = f"row {row}: byte 0x{byte:02x} is not UTF-8"
    if any(b"\x00" in block for block in blocks(file)):
        raise InvalidInput.of(field, None, f"{met}, and there is a NUL byte; is it text?")
    file.seek(start)
    try:
        return _recoded(file, "cp1252", recoded), row
    except UnicodeDecodeError as error:
        other = f"byte 0x{error.object[error.start]:02x} is none of Windows-1252"
        raise InvalidInput.of(field, None, f"{met}, and {other}; save the file as UTF-8") from None


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file, some bytes at a time."""
    while block := file.read(BLOCK):
        yield block


def _recoded(file: BinaryIO, codec: str, target: BinaryIO) -> BinaryIO:
    """Write the rest of a file into another as UTF-8; return that, at its beginning."""
    decoder = codecs.getincrementaldecoder(codec)()
    for block in blocks(file):
        target.write(decoder.decode(block).encode())
    decoder.decode(b"", final=True)
    target.seek(0)
    return target


def _first_strange(file: BinaryIO) -> tuple[int, int] | None:
    """Return row and value of the first byte that is not UTF-8; None where all are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    row = 1
    try:
        for block in blocks(file):
            decoder.decode(block)
            row += block.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:  # of the block, behind what was left of the one before
        return row + error.object.count(b"\n", 0, error.start), error.object[error.start]
    return None
