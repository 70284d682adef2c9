"""Texts that are dates or times of ISO 8601, which rows can be put in order by."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow ships no types.

from __future__ import annotations

from typing import Any

import pyarrow as pa

_KINDS = (pa.timestamp("us"), pa.timestamp("us", tz="UTC"))


def microseconds(texts: Any) -> Any | None:
    """Return texts (n,), a pyarrow array, as int64 microseconds; None where one is no date or time.

    `2024-05-01`, `2024-05-01T12:30` and `2024-05-01 12:30:00.5` are; with an offset from UTC, such
    as Z or +02:00, where each of them has one.
    """
    for kind in _KINDS:
        try:
            return texts.cast(kind).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
    return None
