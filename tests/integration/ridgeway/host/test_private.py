"""What a bare `ridgeway migrate` or `ridgeway worker` writes is for its user alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
from waiting import wait_until

RIDGEWAY = [sys.executable, "-P", "-m", "ridgeway"]


def test_a_migrated_database_is_for_its_user_alone(tmp_path: Path) -> None:
    migrated(tmp_path)
    assert stat.S_IMODE((tmp_path / "ridgeway.db").stat().st_mode) == 0o600


def test_a_worker_writes_for_its_user_alone(tmp_path: Path) -> None:
    migrated(tmp_path)
    argv = [*RIDGEWAY, "worker", "--device", "cpu", "--processes", "1"]
    supervisor = subprocess.Popen(argv, env=environment(tmp_path), umask=0o022)
    try:
        wait_until(lambda: umasks(supervisor.pid) == {"0077"}, 60)
    finally:
        supervisor.terminate()
        supervisor.wait(20)


def umasks(supervisor: int) -> set[str]:
    """The umask of each child of a process, as Linux tells it."""
    status = [
        Path(f"/proc/{child.pid}/status").read_text()
        for child in psutil.Process(supervisor).children()
    ]
    return {line.split()[1] for text in status for line in text.splitlines() if "Umask" in line}


def migrated(folder: Path) -> None:
    subprocess.run(
        [*RIDGEWAY, "migrate"], env=environment(folder), umask=0o022, check=True, timeout=60
    )


def environment(folder: Path) -> dict[str, str]:
    url = f"sqlite:///{folder / 'ridgeway.db'}"
    return {**os.environ, "RIDGEWAY_DATA": str(folder), "RIDGEWAY_DATABASE_URL": url}
