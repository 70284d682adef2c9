"""Cursors: the place where the next page of a list begins, as a client carries it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, cast

from ridgeway.errors import InvalidInput


def encode_cursor(place: Sequence[Any]) -> str:
    """Return the cursor for a place: the sort keys of the last item before it."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """Return the place that a cursor stands for; InvalidInput for one that we never gave out."""
    error = InvalidInput.of("cursor", cursor, "must be the `next` of an earlier page")
    try:
        place: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", True))
    except (ValueError, binascii.Error, RecursionError):
        raise error from None
    if not isinstance(place, list) or len(cast("list[Any]", place)) != len(kinds):
        raise error
    items = cast("list[Any]", place)
    for item, kind in zip(items, kinds, strict=True):
        accepted = (int, float) if kind is float else kind
        if not isinstance(item, accepted) or isinstance(item, bool) or not _storable(item):
            raise error
    return items


def _storable(item: float | str) -> bool:
    if isinstance(item, str):
        return "\x00" not in item and item.isprintable()
    return abs(item) < 2**31 if isinstance(item, int) else item == item
