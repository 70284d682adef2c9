"""Simulated workers in processes of their own: a nursery has imported everything and forks them."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import random
import signal
import subprocess
import sys
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simulated import Conduct, SimulatedWorker, release_of, set_clock, set_release

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.settings import Settings
from service.sweeper import Sweeper

PDEATHSIG = 1
SWEEP_SECONDS = 0.1


class Nursery:
    """A process that has imported everything, and forks."""

    def __init__(self) -> None:
        here = Path(__file__)
        self._process = subprocess.Popen(
            [sys.executable, str(here)],
            env={**os.environ, "PYTHONPATH": str(here.parents[2])},  # this checkout's Ridgeway
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, order: dict[str, Any]) -> int:
        """The nursery's answer to an order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it, and whoever it has forked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


@dataclass
class Crew:
    """Simulated workers and sweepers on one database; all of them are gone after `close`."""

    nursery: Nursery
    url: str
    diary: Path
    pids: list[int] = field(default_factory=list)
    sweepers: set[int] = field(default_factory=set)  # those of them that sweep

    def __post_init__(self) -> None:
        self.diary.touch()

    def start(self, **conduct: Any) -> int:
        """A new worker; its process id, which is nobody else's until `wait`."""
        return self._fork(conduct=asdict(Conduct(**conduct)))

    def start_sweeper(self) -> int:
        """A new process that sweeps as a service does; its process id."""
        pid = self._fork(store=str(self.diary.with_name("store")))
        self.sweepers.add(pid)
        return pid

    def _fork(self, **order: Any) -> int:
        self.pids.append(self.nursery.ask({"url": self.url, "diary": str(self.diary), **order}))
        return self.pids[-1]

    def wait(self, pid: int) -> int:
        """The exit code of a worker that ends, minus the signal that ended it."""
        self.pids.remove(pid)
        self.sweepers.discard(pid)
        return self.nursery.ask({"wait": pid})

    def wait_for_all(self) -> set[int]:
        """Their exit codes."""
        return {self.wait(pid) for pid in list(self.pids)}

    def ended(self, pid: int) -> bool:
        """Whether the worker has ended; it can be waited for."""
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    def told(self, what: str) -> list[str]:
        """What the workers wrote down, or Ridgeway logged, that begins so."""
        lines = [line.partition(" ")[2] for line in self.diary.read_text().splitlines()]
        return [line for line in lines if line.startswith(what)]

    def close(self) -> None:
        """Kill whoever is left."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        self.wait_for_all()


def _nurse() -> None:
    """Fork a worker for each order; end them all when standard input ends."""
    living: set[int] = set()
    while line := sys.stdin.readline():
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            living.discard(order["wait"])
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _be_told(order)
        living.add(pid)
        print(pid, flush=True)
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _be_told(order: dict[str, Any]) -> None:
    """Be the worker, or the sweeper, that the order asks for, and end as a process."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
        logging.basicConfig(filename=order["diary"], format="%(process)d %(message)s")
        (_be_a_worker if "conduct" in order else _be_a_sweeper)(order)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _be_a_worker(order: dict[str, Any]) -> None:
    conduct = Conduct(**order["conduct"])
    random.seed(conduct.seed)
    set_clock(conduct)
    set_release(conduct)
    worker_id = f"{release_of(conduct)}-{uuid.uuid4().hex[:24]}"
    SimulatedWorker(order["url"], worker_id, conduct, Path(order["diary"])).run()


def _be_a_sweeper(order: dict[str, Any]) -> None:
    settings = Settings(sweep_seconds=SWEEP_SECONDS)
    sweeper = Sweeper(Database(order["url"]), Store(order["store"]), settings)
    sweeper.start()
    signal.pause()  # for ever, until it is killed


if __name__ == "__main__":
    _nurse()
