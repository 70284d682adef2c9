"""A worker that the kernel kills for its memory: its supervisor says so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from groups import joining, memory_group
from waiting import wait_until

SUPERVISE = """
import json, logging, sys
from ridgeway.host.supervisor import Role, Supervisor
logging.basicConfig()
sys.exit(Supervisor([Role(**json.loads(sys.argv[1]))], {}).run())
"""
# Takes memory when it is first started, and nothing afterwards.
GREEDY = """
import sys, time
from pathlib import Path
told = Path(sys.argv[1])
if not told.exists():
    told.touch()
    taken = bytearray(300 * 2**20)
    taken[::4096] = bytes(len(taken[::4096]))
time.sleep(600)
"""


def test_the_log_tells_of_a_kill_for_memory(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", GREEDY, str(tmp_path / "told")]
    role = json.dumps({"name": "worker 1", "argv": argv, "worker": True})
    log = tmp_path / "log"
    with memory_group(150 * 2**20) as group:
        command = [*joining(group), sys.executable, "-c", SUPERVISE, role]
        with log.open("wb") as output:
            supervisor = subprocess.Popen(command, stderr=output)
        try:
            wait_until(lambda: "starting it again" in log.read_text(), 60)
        finally:
            supervisor.terminate()
            supervisor.wait(60)
    assert "worker 1 ended with signal 9 (the kernel killed it: out of memory)" in log.read_text()
