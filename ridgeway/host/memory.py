"""How much memory this process may still take, of which limit; and whether the kernel killed some.

The least counts of what the machine has available, what control groups (version 1 and 2, from this
process's own up to the root) leave below their limits, and the process's own limits. What others
share is dealt out evenly to the workers of this machine.
"""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 2**60  # bytes; version 1 writes "no limit" as a number beyond it


@dataclass(frozen=True)
class Room:
    """Bytes that may still be taken, and the limit that they are left of."""

    free: float
    limit: float

    def __lt__(self, other: Room) -> bool:
        return self.free < other.free


def room(
    workers: int = 1, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> Room:
    """Return what this process may still take; workers: how many share the machine's memory."""
    shared = min([*_of_groups(proc, groups), _of_the_machine(proc)])
    return min([_share(shared, workers, proc), *_of_the_process(proc)])


def _share(whole: Room, workers: int, proc: Path) -> Room:
    """Return one worker's share: of what is free and what all of them hold, less what it holds."""
    held = [_private(proc / str(pid)) for pid in _siblings(proc)]
    own = _private(proc / "self")
    fair = (whole.free + max(sum(held), own)) / max(workers, len(held), 1) - own
    return Room(max(0.0, min(whole.free, fair)), whole.limit)


def _siblings(proc: Path) -> list[int]:
    """Return the processes that run what this one runs, below the same supervisor; itself too."""
    parent = os.getppid()
    try:
        children = (proc / str(parent) / "task" / str(parent) / "children").read_text().split()
        mine = _module(proc / "self")
        return [int(pid) for pid in children if _module(proc / pid) == mine]
    except OSError:  # a kernel without that file
        return [os.getpid()]


def _module(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")[:4]  # python -P -m workers
    except OSError:  # it has ended
        return []


def _private(process: Path) -> int:
    """Return the bytes that a process holds alone."""
    try:
        _, resident, shared, *_ = map(int, (process / "statm").read_text().split())
    except (OSError, ValueError):  # it has ended
        return 0
    return (resident - shared) * resource.getpagesize()


def _of_the_machine(proc: Path) -> Room:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return Room(math.inf, math.inf)
    known = {
        name: int(value.split()[0]) * 1024 for name, _, value in (x.partition(":") for x in lines)
    }
    return Room(known.get("MemAvailable", math.inf), known.get("MemTotal", math.inf))


def _of_the_process(proc: Path) -> Iterator[Room]:
    """Yield what RLIMIT_AS and RLIMIT_DATA leave, which are each process's own."""
    try:
        lines = (proc / "self" / "status").read_text().splitlines()
    except OSError:
        return
    held = {
        name: int(value.split()[0]) * 1024
        for name, _, value in (x.partition(":") for x in lines)
        if name in ("VmSize", "VmData")
    }
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and name in held:
            yield Room(max(0, soft - held[name]), soft)


# --- control groups -------------------------------------------------------------------------------

# Of version 2 and of version 1: limit, use, and the lines of memory.stat that can be had back.
V2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))
V1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    ("total_inactive_file", "total_active_file"),
)


def _of_groups(proc: Path, groups: Path) -> Iterator[Room]:
    for folder, names in _own_groups(proc, groups):
        limit, used = _number(folder / names[0]), _number(folder / names[1])
        if limit is None or used is None or limit >= UNLIMITED:
            continue
        # Pages of files go before anybody is killed: those of mapped rows, too, are read again.
        used -= sum(_line(folder / "memory.stat", name) or 0 for name in names[2])
        yield Room(max(0, limit - used), limit)


def _own_groups(
    proc: Path, groups: Path
) -> Iterator[tuple[Path, tuple[str, str, tuple[str, str]]]]:
    """Yield the folders of this process's control groups of memory, up to the root."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, names = groups, V2
        elif "memory" in controllers.split(","):
            root, names = groups / "memory", V1
        else:
            continue
        # In a container the path may be the host's, which is not there: then its root is ours.
        own = root / path.lstrip("/")
        inside = own if own.is_dir() else root
        for folder in (inside, *inside.parents):
            yield folder, names
            if folder == root:
                break


class Toll:
    """What the kernel kills for lack of memory in this process's control groups."""

    def __init__(self, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc, self._groups = proc, groups
        self._known = self._kills()

    def why_killed(self) -> str:
        """Return why a process was killed that nobody here has killed."""
        before, self._known = self._known, self._kills()
        if self._known > before:
            return "the kernel killed it: out of memory"
        return "it was killed (signal 9), perhaps as memory had run out"

    def _kills(self) -> int:
        """Count them; 0 where no control group tells."""
        counted = (
            _line(folder / ("memory.events" if names is V2 else "memory.oom_control"), "oom_kill")
            for folder, names in _own_groups(self._proc, self._groups)
        )
        return max((count for count in counted if count is not None), default=0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max"
        return None


def _line(path: Path, name: str) -> int | None:
    """Return the number behind a name in a file of lines `name number`."""
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return next((int(value) for found, value in lines if found == name), None)
    except (OSError, ValueError):
        return None
