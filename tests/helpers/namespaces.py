"""Machines in namespaces of their own, joined by a bridge, as root may make them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from machines import Machine

BRIDGES = range(1, 200)
# What holds a machine's namespaces open.
HOLD = "echo {name} > /proc/sys/kernel/hostname && echo there && exec sleep infinity"
NAMESPACES = ["--net", "--mount", "--uts", "--pid"]
UNSHARE = ["unshare", *NAMESPACES, "--mount-proc", "--fork", "--kill-child", "sh", "-c"]


def why_not() -> str | None:
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

    def machine(self, number: int, environment: Mapping[str, str], log: Path) -> Machine:
        return NamespaceMachine(number, environment, log, self)


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
class NamespaceMachine(Machine):
    """Has its own network, host name and process ids, and a cable to the bridge."""

    bridge: Bridge
    _holder: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        hold = HOLD.format(name=self.name)
        self._holder = subprocess.Popen([*UNSHARE, hold], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"there\n"
        inner = str(self._root)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", inner)
        _ip("link", "set", self._cable, "master", self.bridge.name, "up")
        self._inside("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        for interface in ("eth0", "lo"):
            self._inside("ip", "link", "set", interface, "up")

    @property
    def address(self) -> str:
        return self.bridge.address(self.number)

    def cut_off(self) -> None:
        """Pull its cable."""
        _ip("link", "set", self._cable, "down")

    def join(self) -> None:
        """Put the cable back."""
        _ip("link", "set", self._cable, "up")

    def has(self, host: str, pid: int) -> bool:
        return host == self.name

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._cable)
        super().close()
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()

    @property
    def _cable(self) -> str:
        return f"ridge{self.bridge.number}c{self.number}"

    @cached_property
    def _root(self) -> int:
        """The process id, on the host, of the first process in the namespaces."""
        pid = self._holder.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def _inside(self, *argv: str) -> None:
        subprocess.run(self._entered(argv), check=True, capture_output=True)

    def _entered(self, argv: Sequence[str]) -> Sequence[str]:
        return ["nsenter", "--target", str(self._root), *NAMESPACES, "--wd=/", *argv]

    def _pids(self) -> Iterator[int]:
        ours = Path(f"/proc/{self._root}/ns/net").readlink()
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and (folder / "ns/net").readlink() == ours:
                    pid = int(folder.name)
                    if pid not in (self._holder.pid, self._root):
                        yield pid
