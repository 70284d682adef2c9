"""Control groups that limit memory, real ones, where the tests may make some."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """A group of so many bytes; a process joins by writing its id into `cgroup.procs`."""
    version_1 = (ROOT / "memory" / "memory.limit_in_bytes").exists()
    name, file = f"ridgeway-{uuid.uuid4().hex}", "memory.max"
    group = ROOT / name
    if version_1:
        group, file = ROOT / "memory" / name, "memory.limit_in_bytes"
    try:
        group.mkdir()
        (group / file).write_text(str(limit))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield group
    finally:
        group.rmdir()


def joining(group: Path) -> list[str]:
    """Return the start of a command line whose process runs in the group."""
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "in-group"]
