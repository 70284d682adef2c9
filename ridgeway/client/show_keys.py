"""Keys and the audit log as tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

LIMITS = {
    "open_jobs": "open jobs",
    "trials": "trials",
    "bytes": "bytes",
    "requests_per_minute": "requests/min",
}


def key_table(keys: Sequence[Mapping[str, Any]]) -> Table:
    """Show keys, a row each, by what they begin with."""
    table = _table("prefix", "name", "scope", "state", "created", "last used", "weight", "limits")
    for key in keys:
        table.add_row(
            key["prefix"],
            Text(key["name"]),
            key["scope"],
            _state(key),
            _day(key["created_at"]),
            _day(key["used_at"]) or "never",
            str(key["weight"]),
            ", ".join(
                f"{key[name]:,} {word}" for name, word in LIMITS.items() if key[name] is not None
            ),
        )
    return table


def audit_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    """Show lines of the audit log, a row each."""
    table = _table("at (UTC)", "who", "did", "of", "outcome", "from")
    for entry in entries:
        moment = f"{datetime.fromisoformat(entry['at']):%Y-%m-%d %H:%M:%S}"
        told = (entry[name] or "" for name in ("actor", "action", "object", "outcome", "address"))
        table.add_row(moment, *map(Text, told))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _state(key: Mapping[str, Any]) -> str:
    if key["revoked_at"]:
        return f"revoked {_day(key['revoked_at'])}"
    if not key["usable"]:
        return f"expired {_day(key['expires_at'])}"
    return f"until {_day(key['expires_at'])}" if key["expires_at"] else "usable"


def _day(moment: str | None) -> str:
    return "" if moment is None else f"{datetime.fromisoformat(moment):%Y-%m-%d}"
