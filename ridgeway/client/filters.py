"""Which jobs a client lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypedDict


class JobFilters(TypedDict, total=False):
    """What the jobs have in common, beside their state."""

    dataset: str | None
    name: str | None
    kind: Literal["search", "path"] | None
    since: datetime | None
    before: datetime | None


def in_query(filters: JobFilters) -> dict[str, Any]:
    """Return the filters as a query has them; a time without an offset is local time."""
    return {
        name: value.astimezone().isoformat() if isinstance(value, datetime) else value
        for name, value in filters.items()
    }
