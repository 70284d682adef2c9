"""`ridgeway demo`: what `make demo` shows a newcomer."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import psutil


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "ridgeway", "demo", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=240)


def test_it_goes_the_whole_way_and_ends_by_itself(tmp_path: Path) -> None:
    done = demo("--data", str(tmp_path), "--trials", "20")
    assert done.returncode == 0, done.stderr
    assert "succeeded   20/20 trials" in done.stdout
    for line in ("recommended", "best", "unpenalised", "constant"):
        assert f"\n{line} " in done.stdout, done.stdout
    assert "/dashboard/studies/1" in done.stdout
    assert "succeeded: 20/20 trials" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    left = [
        p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in (p.info["cmdline"] or [])
    ]
    assert left == []


def test_a_folder_in_use_is_told_with_a_message(tmp_path: Path) -> None:
    with (tmp_path / "serve.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("4711")
        file.flush()
        refused = demo("--data", str(tmp_path))
    assert refused.returncode == 2
    assert "in use by another `ridgeway serve` (process 4711)" in refused.stderr
    assert "Traceback" not in refused.stderr
