"""Machines that processes are started on, and the network that joins them.

Where root may, each is a set of namespaces with a cable to a bridge (namespaces.py); elsewhere it
is an address of the loopback interface (loopback.py). `TEST_NETWORK` asks for one of the two.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

OURS = " -P -m "  # in the command line of every process of Ridgeway's, and of none of Ray's


@dataclass(eq=False)
class Machine(ABC):
    """Its address, a folder for temporary files, and every process that was started on it.

    environment: of its processes; `RIDGEWAY_DATABASE_URL` in it names a server of this host.
    """

    number: int
    environment: Mapping[str, str]
    log: Path
    folder: Path = field(init=False)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-", dir="/tmp"))  # short, for sockets

    @property
    def name(self) -> str:
        return f"machine{self.number}"

    @property
    @abstractmethod
    def address(self) -> str: ...

    @abstractmethod
    def cut_off(self) -> None:
        """No more gets through between its processes and those of other machines."""

    @abstractmethod
    def join(self) -> None:
        """Its network is back."""

    @abstractmethod
    def has(self, host: str, pid: int) -> bool:
        """Whether this is where a process runs that calls itself so."""

    @abstractmethod
    def _entered(self, argv: Sequence[str]) -> Sequence[str]:
        """The command, as this host starts it there."""

    @abstractmethod
    def _pids(self) -> Iterator[int]:
        """What runs there, or has run there until now, by ids on this host."""

    def start(self, argv: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start a process there, its output into the machine's log."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self._entered(argv),
                env={**os.environ, **self.environment, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def processes(self) -> dict[int, str]:
        """Every process there but those that hold others: id on this host, command line."""
        found: dict[int, str] = {}
        holders = {process.pid for process in self._started}
        for pid in self._pids():
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if pid not in holders and line.strip():
                    found[pid] = line.strip()
        return found

    def runs(self, what: str) -> set[int]:
        """The processes there whose command line holds this."""
        return {pid for pid, line in self.processes().items() if what in line}

    def kill(self, *, but: str | None = None) -> None:
        """Kill -9 all that runs there, as when the machine loses its power; or all but some."""
        while self._send(signal.SIGKILL, but):  # what they started meanwhile, too
            time.sleep(0.01)

    def pause(self) -> None:
        """Stop all that runs there and is not Ridgeway's."""
        self._send(signal.SIGSTOP, but=OURS)

    def wake(self) -> None:
        """Have what was stopped go on."""
        self._send(signal.SIGCONT)

    def close(self) -> None:
        """Away with it, and with all that runs there."""
        self.kill()
        for process in self._started:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _send(self, number: int, but: str | None = None) -> int:
        """Send a signal to all there, or all but some; how many there were."""
        found = [pid for pid, line in self.processes().items() if but is None or but not in line]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(found)


class Network(Protocol):
    """What joins machines to each other and to this host."""

    @property
    def host(self) -> str:
        """This host's address on it."""
        ...

    def machine(self, number: int, environment: Mapping[str, str], log: Path) -> Machine:
        """A machine that is new on it."""
        ...


def network() -> AbstractContextManager[Network]:
    """The one that TEST_NETWORK names, else namespaces where they can be made."""
    import loopback
    import namespaces

    why_not = namespaces.why_not()
    kind = os.environ.get("TEST_NETWORK") or ("loopback" if why_not else "namespaces")
    assert kind in ("loopback", "namespaces"), f"TEST_NETWORK={kind}"
    if kind == "loopback":
        return loopback.loopback()
    assert why_not is None, why_not
    return namespaces.bridged()
