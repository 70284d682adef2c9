"""Machines in network namespaces of their own, joined by a bridge, as root may make them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

BRIDGES = range(1, 200)
# What holds a machine's namespaces open. Ray's folder is a file system of its own in each: nodes on
# one machine would share it.
HOLD = (
    "echo {name} > /proc/sys/kernel/hostname && mkdir -p /tmp/ray && "
    "mount -t tmpfs tmpfs /tmp/ray && echo there && exec sleep infinity"
)
NAMESPACES = ["--net", "--mount", "--uts", "--pid"]
UNSHARE = ["unshare", *NAMESPACES, "--mount-proc", "--fork", "--kill-child", "sh", "-c"]


def why_no_machines() -> str | None:
    """Why namespaces can't be made here; None where they can."""
    for tool in ("ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            return f"network namespaces need the command {tool}"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /tmp && ip link add "
         "rwprobe type bridge"],
        capture_output=True, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else "network namespaces need root's rights"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Bridge:
    """What joins machines to each other and to this host: 10.213.NUMBER.0/24."""

    number: int

    @property
    def name(self) -> str:
        return f"ridgeway{self.number}"

    @property
    def host(self) -> str:
        """This host's address on it."""
        return self.address(1)

    def address(self, machine: int) -> str:
        return f"10.213.{self.number}.{machine}"


@contextmanager
def bridged() -> Iterator[Bridge]:
    """A bridge of one's own: its name can be taken once."""
    for bridge in map(Bridge, BRIDGES):
        with suppress(subprocess.CalledProcessError):
            _ip("link", "add", bridge.name, "type", "bridge")
            break
    else:
        raise AssertionError("every bridge is taken")
    _ip("addr", "add", f"{bridge.host}/24", "dev", bridge.name)
    _ip("link", "set", bridge.name, "up")
    yield bridge
    _ip("link", "del", bridge.name)


@dataclass(eq=False)
class Machine:
    """One of them: its network, its `/tmp/ray`, and every process that was started on it."""

    bridge: Bridge
    number: int
    environment: Mapping[str, str]
    log: Path
    _holder: subprocess.Popen[bytes] = field(init=False)
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        hold = HOLD.format(name=self.name)
        self._holder = subprocess.Popen([*UNSHARE, hold], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"there\n"
        inner = self._root()
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", inner)
        _ip("link", "set", self._cable, "master", self.bridge.name, "up")
        self._inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        for interface in ("eth0", "lo"):
            self._inside("ip", "link", "set", interface, "up")

    @property
    def name(self) -> str:
        """Its host name."""
        return f"machine{self.number}"

    @property
    def address(self) -> str:
        return self.bridge.address(self.number)

    @property
    def _cable(self) -> str:
        return f"ridge{self.bridge.number}c{self.number}"

    def _root(self) -> str:
        """The process id, on the host, of the first process in the namespaces."""
        pid = self._holder.pid
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]

    @cached_property
    def _enter(self) -> list[str]:
        return ["nsenter", "--target", self._root(), *NAMESPACES, "--wd=/"]

    def _inside(self, *argv: str) -> None:
        subprocess.run([*self._enter, *argv], check=True, capture_output=True)

    def start(self, argv: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start a process there, its output into the machine's log."""
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [*self._enter, *argv],
                env={**os.environ, **self.environment, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process

    def processes(self) -> dict[int, str]:
        """Every process there but the holders: id on the host, command line."""
        found: dict[int, str] = {}
        ours = Path(f"/proc/{self._root()}/ns/net").readlink()
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and (folder / "ns/net").readlink() == ours:
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = line.strip()
        for pid in (self._holder.pid, int(self._root())):
            found.pop(pid, None)
        return found

    def runs(self, what: str, but: str = "no such thing") -> set[int]:
        """The processes there whose command line holds this, and not that."""
        lines = self.processes().items()
        return {pid for pid, line in lines if what in line and but not in line}

    def kill(self, *, but: str | None = None) -> None:
        """Kill -9 all that runs there, as when the machine loses its power; or all but some."""
        for pid, line in self.processes().items():
            if but is None or but not in line:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def cut_off(self) -> None:
        """Pull its cable."""
        _ip("link", "set", self._cable, "down")

    def join(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self._cable, "up")

    def close(self) -> None:
        """Away with it, and with all that runs there."""
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._cable)
        for process in (self._holder, *self._started):
            process.kill()
            process.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
