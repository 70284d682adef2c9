"""Options of a connection that both databases' engines know."""

from __future__ import annotations

WAIT = "ridgeway_wait"  # of a connection that may write: the seconds that it waits for a lock
