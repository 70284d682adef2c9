"""Machines that are addresses of the loopback interface, as anybody may have them.

They share this host's name, process ids and ports, so every server takes a free port. A machine is
told apart by its processes: each that is started on it adopts what its descendants leave behind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from machines import Machine
from proxies import Proxy, proxy_before

DATABASE = "RIDGEWAY_DATABASE_URL"
# Runs a command, and ends with its exit code once the last of its descendants has ended. 36 is
# PR_SET_CHILD_SUBREAPER.
HOLD = """
import ctypes, os, subprocess, sys
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
first = subprocess.Popen(sys.argv[1:]).pid
codes = {}
try:
    while True:
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status) if pid == first else 0
except ChildProcessError:
    os._exit(codes[first] % 256)
"""


@dataclass(eq=False)
class LoopbackMachine(Machine):
    """Reaches the database through a proxy of its own, so that it can be cut off from it.

    A cable it has none: what it runs of Ray is stopped instead when it is cut off, answers nobody,
    and is missed. Ridgeway's workers go on, and take their packets to be lost.
    """

    _proxy: Proxy = field(init=False)
    _open: ExitStack = field(default_factory=ExitStack, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._proxy = self._open.enter_context(proxy_before(self.environment[DATABASE]))
        self.environment = {**self.environment, DATABASE: self._proxy.url}

    @property
    def address(self) -> str:
        return f"127.0.0.{self.number}"

    def cut_off(self) -> None:
        self._proxy.fall_silent()
        self.pause()

    def join(self) -> None:
        """The database is back; Ray is once it is woken."""
        self._proxy.speak_again()

    def has(self, host: str, pid: int) -> bool:
        return pid in self.processes()

    def close(self) -> None:
        super().close()
        self._open.close()

    def _entered(self, argv: Sequence[str]) -> Sequence[str]:
        return [sys.executable, "-c", HOLD, *argv]

    def _pids(self) -> Iterator[int]:
        for holder in self._started:
            with suppress(psutil.NoSuchProcess):
                yield from (each.pid for each in psutil.Process(holder.pid).children(True))


@dataclass(frozen=True)
class Loopback:
    """127.0.0.0/8: machine N is 127.0.0.N, and this host 127.0.0.1."""

    host: str = "127.0.0.1"

    def machine(self, number: int, environment: Mapping[str, str], log: Path) -> Machine:
        return LoopbackMachine(number, environment, log)


@contextmanager
def loopback() -> Iterator[Loopback]:
    """The loopback interface, which is there already."""
    yield Loopback()
