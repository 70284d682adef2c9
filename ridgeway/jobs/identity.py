"""Ids of jobs, workers and notifications."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """Return a UUID of version 7 (RFC 9562), which sorts by the time it was made."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))
