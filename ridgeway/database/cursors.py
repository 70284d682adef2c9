"""Cursors: the place where the next page of a list begins, as a client carries it.

A place is the sort keys of the last item before it. The keys of a list are declared once, and with
them the pattern that its cursors match; every text of that pattern is a place to begin from:

    NEWEST_FIRST = Keys(FLOAT, ID)
    NEWEST_FIRST.cursor([1764532800.25, "0198f2c1-..."])  # "1764532800.25,0198f2c1-..."
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ridgeway.errors import InvalidInput


@dataclass(frozen=True)
class Key:
    """A sort key: how it is written, and what reads it. Both databases can compare with it."""

    pattern: str
    read: Callable[[str], Any]


FLAG = Key("[01]", int)
INTEGER = Key("(?:1[0-9]{9}|[0-9]{1,9})", int)  # PostgreSQL refuses 2**31
FLOAT = Key(r"-?[0-9]{1,17}(?:\.[0-9]{1,20})?(?:e[+-][0-9]{1,3})?", float)  # as Python writes it
ID = Key("[0-9a-f-]{36}", str)
NAME = Key(r"[^\x00]+", str)


class Keys:
    """The sort keys of a list, and the cursors made of them."""

    def __init__(self, *keys: Key) -> None:
        self._keys = keys
        self.pattern = ",".join(key.pattern for key in keys)
        self._parts = re.compile(",".join(f"({key.pattern})" for key in keys))

    def cursor(self, place: Sequence[Any]) -> str:
        """Return the cursor for a place."""
        return ",".join(map(str, place))

    def place(self, cursor: str) -> list[Any]:
        """Return the place that a cursor stands for; InvalidInput for what is none of this list."""
        found = self._parts.fullmatch(cursor)
        if found is None:
            raise InvalidInput.of("cursor", cursor, "must be the `next` of an earlier page")
        return [key.read(text) for key, text in zip(self._keys, found.groups(), strict=True)]
