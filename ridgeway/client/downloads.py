"""Files of what a service gives in bytes."""

from __future__ import annotations

from pathlib import Path

from ridgeway.errors import InvalidInput


def written(path: Path, data: bytes) -> Path:
    """Write a file, and return its path; InvalidInput where that can't be."""
    try:
        path.write_bytes(data)
    except (OSError, ValueError) as error:  # the latter: a NUL character in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInput.of("path", str(path), f"can't be written: {reason}") from None
    return path
