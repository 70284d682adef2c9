"""The bytes of a text file, made UTF-8."""

from __future__ import annotations

import codecs

from ridgeway.errors import InvalidInput

_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def as_utf8(data: bytes, field: str = "file") -> tuple[bytes, int | None]:
    """Return the same text in UTF-8, without a byte order mark, and its first row that was not.

    That row is None of UTF-8 and UTF-16. All else is read as Windows-1252, which Latin-1 is a part
    of, and which is no more than likely.
    InvalidInput (of the field) for bytes that no text of it has.
    """
    if codec := _MARKS.get(data[:2]):
        try:
            return data[2:].decode(codec).encode(), None
        except UnicodeError as error:
            raise InvalidInput.of(field, None, f"is broken UTF-16: {error}"[:300]) from None
    data = data.removeprefix(codecs.BOM_UTF8)
    strange = _first_strange(data)
    if strange is None:
        return data, None
    row = data.count(b"\n", 0, strange) + 1
    met = f"row {row}: byte 0x{data[strange]:02x} is not UTF-8"
    if b"\x00" in data:
        raise InvalidInput.of(field, None, f"{met}, and there is a NUL byte; is it text?")
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        other = f"byte 0x{data[error.start]:02x} is none of Windows-1252"
        raise InvalidInput.of(field, None, f"{met}, and {other}; save the file as UTF-8") from None
    return text.encode(), row


def _first_strange(data: bytes) -> int | None:
    """Return where the first byte stands that is not UTF-8; None where all is."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None
