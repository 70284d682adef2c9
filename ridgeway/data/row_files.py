"""The files of rows that workers of this machine keep: how long, and how much room they take.

Workers write and read them (workers/data/matrix.py) and hold a shared lock on what they read.
Nothing goes that is in use. What nobody uses goes after a day, or sooner, used longest ago first,
where all are larger together than they may be or the disk has no room.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from ridgeway.data.folder import delete_unheld, is_unheld, make_room
from ridgeway.settings import Settings

WHOLE, UNFINISHED = ".npy", ".part"
KEEP_SECONDS = 86_400.0  # how long a file stays that nobody reads, while there is room
SPARE = 64 * 2**20  # bytes that a disk keeps free


@dataclass(frozen=True)
class RowFiles:
    """Files of rows in a folder; no more than `most_bytes`, but for those in use."""

    folder: Path
    most_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> RowFiles:
        """Return those of the settings' data folder."""
        return cls(settings.resolved_rows(), settings.rows_bytes)

    def make_room(self, needed: int = 0, *, dry_run: bool = False) -> list[int]:
        """Delete what is old or too much beside so many bytes; return the sizes of what went.

        dry_run: only return them.
        """
        if not self.folder.is_dir():
            return []

        def fits(kept: int) -> bool:
            free = shutil.disk_usage(self.folder).free
            return kept + needed <= self.most_bytes and free >= needed + SPARE

        files = [path for path in self.folder.iterdir() if path.suffix in (WHOLE, UNFINISHED)]
        return make_room(files, fits, _is_due, is_unheld if dry_run else delete_unheld)


def _is_due(path: Path, found: os.stat_result) -> bool:
    """Return whether a file goes in any case if nobody has it: it is old, or its writer is dead."""
    return path.suffix == UNFINISHED or time.time() - found.st_atime > KEEP_SECONDS
