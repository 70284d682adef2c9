"""Values that a client sent, as an error repeats them: JSON, and short."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from pydantic import JsonValue

LONGEST_VALUE = 200  # characters
_WRITER = json.JSONEncoder(allow_nan=False)


def shown(value: Any) -> JsonValue:
    """Return a client's value as errors repeat it: itself where JSON holds it, else text, cut."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else cut(_digits(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return cut(value[: LONGEST_VALUE + 1].decode(errors="replace"))
    if isinstance(value, str):
        return cut(value)
    text = ""
    try:
        for part in _WRITER.iterencode(value):
            text += part
            if len(text) > LONGEST_VALUE:  # of a megabyte only the beginning is written
                return cut(text)
    except (TypeError, ValueError, RecursionError):
        return f"a {type(value).__name__}"
    return cast("JsonValue", json.loads(text))


def cut(text: str, longest: int = LONGEST_VALUE) -> str:
    return text if len(text) <= longest else text[:longest] + "..."


def _digits(value: int) -> str:
    # Python refuses to write integers of more than 4,300 digits.
    return str(value) if value.bit_length() < 2**13 else f"an integer of {value.bit_length()} bits"
