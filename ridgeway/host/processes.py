"""Whether a process of this machine still lives that the database tells of."""

from __future__ import annotations

import os
from pathlib import Path

ROUNDING_SECONDS = 2.0  # of the kernel's clock of starts


def lives(pid: int, since: float) -> bool:
    """Return True if the process lives that had this id at this time, in seconds since 1970.

    Another may have the id by now: it started later.
    """
    try:
        state, started = _state_and_start(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except (OSError, ValueError, IndexError):  # nothing is known: it may
        return True
    return state not in ("Z", "X") and started <= since + ROUNDING_SECONDS


def _state_and_start(pid: int) -> tuple[str, float]:
    """Return the state's letter, and when the process started (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    (booted,) = (
        int(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime ")
    )
    return fields[0], booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")
