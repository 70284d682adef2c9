"""The supervisor with real processes: restarts, orderly ends, no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from submitting import submit
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.database.tables import leases

# Whoever runs the tests under nohup or in the background ignores some signals, children included.
SUPERVISE = """
import json, signal, sys
for number in signal.SIGINT, signal.SIGHUP:
    signal.signal(number, signal.SIG_DFL)
from ridgeway.host.pulse import Patience
from ridgeway.host.supervisor import Role, Supervisor
roles = [Role(**role) for role in json.loads(sys.argv[1])]
sys.exit(Supervisor(roles, {}, patience=Patience(grace=1.0)).run())
"""
# Tells that it is there, then does what follows.
HELLO = """
import os, signal, sys, time
from pathlib import Path
from ridgeway.host.supervisor import die_with_parent
def tell(what):
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{what} {os.getpid()} {time.monotonic()}\\n")
def await_entry(what):
    while what not in Path(sys.argv[1]).read_text():
        time.sleep(0.01)
"""
OBEY = """
die_with_parent(1.0)
signal.signal(signal.SIGTERM, lambda *_: (tell("asked to stop"), sys.exit(0)))
tell("here")
while True: time.sleep(60)
"""
IGNORE = """
die_with_parent(1.0)
signal.signal(signal.SIGTERM, lambda *_: tell("asked to stop"))
tell("here")
while True: time.sleep(60)
"""

Start = Callable[..., subprocess.Popen[bytes]]


def script(code: str, diary: Path) -> list[str]:
    return [sys.executable, "-c", HELLO + textwrap.dedent(code), str(diary)]


def told(diary: Path, what: str) -> list[tuple[int, float]]:
    """The process and the time of every such entry."""
    lines = diary.read_text().splitlines() if diary.exists() else []
    entries = [line.rsplit(maxsplit=2) for line in lines]
    return [(int(pid), float(at)) for said, pid, at in entries if said == what]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a supervisor of these roles; whatever is left of it is killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*roles: dict[str, Any], **environment: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", SUPERVISE, json.dumps(roles)]
        process = subprocess.Popen(argv, env={**os.environ, **environment})
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def test_a_crashed_process_is_started_again_after_pauses_that_double(
    start: Start, diary: Path
) -> None:
    start({"name": "weak", "argv": script("tell('here'); sys.exit(1)", diary)})
    wait_until(lambda: _count(diary) >= 3)
    first, second, third = [at for _, at in told(diary, "here")][:3]
    assert second - first >= 0.5
    assert third - second >= 1.0


def _count(diary: Path) -> int:
    return len(told(diary, "here"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_every_process_in_good_order(
    start: Start, diary: Path, number: signal.Signals
) -> None:
    role = {"name": "steady", "argv": script(OBEY, diary)}
    supervisor = start(role, role)
    wait_until(lambda: _count(diary) == 2)
    supervisor.send_signal(number)
    assert supervisor.wait(10) == 0
    pids = {pid for pid, _ in told(diary, "here")}
    assert {pid for pid, _ in told(diary, "asked to stop")} == pids
    assert all(gone(pid) for pid in pids)


def test_a_process_that_ignores_the_request_is_killed_after_the_grace_period(
    start: Start, diary: Path
) -> None:
    supervisor = start({"name": "deaf", "argv": script(IGNORE, diary)})
    wait_until(lambda: _count(diary) == 1)
    supervisor.terminate()
    assert supervisor.wait(10) == 0
    assert len(told(diary, "asked to stop")) == 1
    assert gone(told(diary, "here")[0][0])


def test_exit_code_2_is_final_and_stops_the_others(start: Start, diary: Path) -> None:
    steady = {"name": "steady", "argv": script(OBEY, diary)}
    code = "tell('unfit'); await_entry('here'); sys.exit(2)"
    unfit = {"name": "unfit", "argv": script(code, diary)}
    supervisor = start(steady, unfit)
    assert supervisor.wait(10) == 2
    assert len(told(diary, "unfit")) == 1
    assert all(gone(pid) for pid, _ in told(diary, "here"))


@pytest.mark.parametrize("code", [OBEY, IGNORE], ids=["obeying", "ignoring SIGTERM"])
def test_nobody_outlives_a_supervisor_that_is_killed(start: Start, diary: Path, code: str) -> None:
    role = {"name": "steady", "argv": script(code, diary)}
    supervisor = start(role, role, role)
    wait_until(lambda: _count(diary) == 3)
    supervisor.kill()
    supervisor.wait()
    for pid, _ in told(diary, "here"):
        wait_until(lambda pid=pid: gone(pid), 5)
    assert len(told(diary, "asked to stop")) == 3


def test_no_process_holds_the_pipe_of_another(start: Start, diary: Path) -> None:
    role = {"name": "steady", "argv": script(OBEY, diary)}
    supervisor = start(role, role, role)
    wait_until(lambda: _count(diary) == 3)
    pids = [pid for pid, _ in told(diary, "here")]
    inputs = {pid: (Path("/proc") / str(pid) / "fd/0").readlink() for pid in pids}
    assert len(set(inputs.values())) == 3
    for pid in pids:
        held = {
            file.readlink()
            for file in (Path("/proc") / str(pid) / "fd").iterdir()
            if file.name != "0"
        }
        assert not held & set(inputs.values())
    supervisor.terminate()
    assert supervisor.wait(10) == 0


def test_what_a_crashed_process_started_ends_with_it(start: Start, diary: Path) -> None:
    code = """
    if os.fork() == 0:
        tell("grandchild")
        time.sleep(60)
    await_entry("grandchild")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    start({"name": "parent", "argv": script(code, diary)})
    [(pid, _), *_] = wait_until(lambda: told(diary, "grandchild"))
    wait_until(lambda: gone(pid), 5)


def test_the_leases_of_a_dead_worker_expire_at_once(
    database: Database, database_url: str, start: Start, diary: Path
) -> None:
    submit(database, trials=20)
    code = """
    from ridgeway.database.engine import Database
    from ridgeway.jobs.claimant import Claimant
    from ridgeway.jobs.claiming import claim
    from ridgeway.jobs.sizes import Sizes
    from ridgeway.settings import Settings
    assert sys.argv[2] == "--id"
    everything = frozenset({"mlp", "digits"})
    with Database.of(Settings()).transaction() as transaction:
        claimant = Claimant(sys.argv[3], everything, everything, Sizes(4, 8), 3600.0, 3)
        lease = claim(transaction, claimant)
    tell(f"claimed {lease is not None}")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    role = {"name": "worker 1", "argv": script(code, diary), "worker": True}
    start(role, RIDGEWAY_DATABASE_URL=database_url)

    def states() -> set[str]:
        with database.reading() as transaction:
            return set(transaction.execute(sa.select(leases.c.state)).scalars())

    wait_until(lambda: told(diary, "claimed True"))
    wait_until(lambda: "expired" in states())


def test_every_start_of_a_worker_has_an_id_of_its_own(start: Start, diary: Path) -> None:
    role = {"name": "worker", "argv": script("tell(sys.argv[3]); sys.exit(2)", diary)}
    assert start({**role, "worker": True}, {**role, "worker": True}).wait(10) == 2
    ids = [line.split()[0] for line in diary.read_text().splitlines()]
    assert len(set(ids)) == len(ids)
