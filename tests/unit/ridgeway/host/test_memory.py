"""The memory that may still be taken: the least of machine, control groups and own limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from groups import joining, memory_group

from ridgeway.host.memory import Room, Toll, room

GIB = 2**30
ROOM = """
import json, sys
from ridgeway.host.memory import room
found = room()
print(json.dumps([found.free, found.limit]))
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 16 GiB, of which 8 are available."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(
        f"MemTotal: {16 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {8 * 2**20} kB\n"
    )
    (proc / "self" / "status").write_text("Name:\tpython\nVmSize:\t1024 kB\nVmData:\t512 kB\n")
    (proc / "self" / "statm").write_text("0 0 0 0 0 0 0")
    return proc


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("memory_", "memory.")).write_text(str(content))


def test_without_control_groups_it_is_what_the_machine_has_available(proc, tmp_path):
    assert room(1, proc, tmp_path / "none") == Room(8 * GIB, 16 * GIB)


def test_workers_share_what_is_there(proc, tmp_path):
    assert room(4, proc, tmp_path / "none") == Room(2 * GIB, 16 * GIB)


def test_the_narrowest_group_on_the_way_up_counts_less_pages_of_files(proc, tmp_path):
    (proc / "self" / "cgroup").write_text("0::/a/b\n")
    groups = tmp_path / "groups"
    stat = f"anon 5\ninactive_file {GIB // 4}\nactive_file {GIB // 4}\n"
    group(groups / "a" / "b", memory_max="max", memory_current=GIB)
    group(groups / "a", memory_max=3 * GIB, memory_current=2 * GIB, memory_stat=stat)
    assert room(1, proc, groups) == Room(1.5 * GIB, 3 * GIB)


def test_version_1_is_read_too_and_a_path_of_the_host_is_the_containers_root(proc, tmp_path):
    (proc / "self" / "cgroup").write_text("8:pids:/\n4:memory,cpu:/docker/abc\n0::/\n")
    groups = tmp_path / "groups"
    stat = "inactive_file 1\ntotal_inactive_file 0\n"
    used = {"memory_usage_in_bytes": GIB, "memory_stat": stat}
    group(groups / "memory", memory_limit_in_bytes=4 * GIB, **used)
    assert room(1, proc, groups) == Room(3 * GIB, 4 * GIB)
    group(groups / "memory", memory_limit_in_bytes=2**63 - 4096, **used)  # which means none
    assert room(1, proc, groups) == Room(8 * GIB, 16 * GIB)


def test_a_process_that_nobody_here_killed_was_killed_by_the_kernel_if_that_counts_one(
    proc, tmp_path
):
    (proc / "self" / "cgroup").write_text("0::/a\n")
    groups = tmp_path / "groups"
    group(groups / "a", memory_events="oom 1\noom_kill 1\n")
    toll = Toll(proc, groups)
    assert "perhaps" in toll.why_killed()
    group(groups / "a", memory_events="oom 2\noom_kill 2\n")
    assert toll.why_killed() == "the kernel killed it: out of memory"
    assert "perhaps" in toll.why_killed()


def found(command: list[str]) -> Room:
    done = subprocess.run(
        [*command, sys.executable, "-c", ROOM], capture_output=True, text=True, check=True
    )
    return Room(*json.loads(done.stdout))


def test_a_real_control_group_counts() -> None:
    with memory_group(256 * 2**20) as own:
        inside = found(joining(own))
    assert inside.limit == 256 * 2**20
    assert 100 * 2**20 < inside.free < 256 * 2**20


def test_a_real_limit_of_the_address_space_counts() -> None:
    inside = found(["prlimit", f"--as={GIB}"])
    assert inside.limit == GIB
    assert GIB // 2 < inside.free < GIB
