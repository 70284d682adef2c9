"""A Ray cluster on machines of its own: a head without cores, and nodes that join it again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deployments import free_port
from machines import Machine, Network

TOKEN = "a-token-of-this-test-alone-0123456789"
REPOSITORY = Path(__file__).parents[2]
RAY = "from ray.scripts.scripts import main; main()"
# Nothing goes through the object store, so it has the least that Ray allows.
LEAST = ["--object-store-memory", "80000000", "--block"]
# Nodes may share an address space of ports, so each takes what is free.
FREE_PORTS = ["--min-worker-port", "0", "--max-worker-port", "0"]
FREE_PORTS += ["--dashboard-agent-listen-port", "0"]
RAY_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_agent_register_timeout_ms": "120000",  # the agents of three nodes share a few cores
    # A node that says nothing is given up after some 5 s rather than 30.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
# As systemd or Kubernetes would: what ends is started again.
AGAIN = "while :; do {command}; sleep 0.5; done"


@dataclass
class Cluster:
    """The head, and two nodes of two cores."""

    head: Machine
    nodes: list[Machine]
    engine: subprocess.Popen[bytes] | None = field(default=None)
    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        return f"{self.head.address}:{self.port}"

    def start(self) -> None:
        """Start Ray on all of them; nodes try until they find the head."""
        self.start_head()
        for node in self.nodes:
            self.start_node(node)

    def is_up(self) -> bool:
        """Whether the head has started."""
        return self.head.log.exists() and "Ray runtime started" in self.head.log.read_text()

    def start_head(self, **environment: str) -> None:
        where = ["--head", "--port", str(self.port)]
        what = ["--num-cpus", "0", "--include-dashboard", "false"]
        argv = [sys.executable, "-c", RAY, "start", *where, *what, *_of(self.head)]
        # Ray takes nodes that have lost their head for a head that is up, where they share a host.
        (self.head.folder / "ray_current_cluster").unlink(missing_ok=True)
        self.head.start(argv, **environment)

    def start_node(self, node: Machine) -> None:
        where = ["--address", self.address, "--num-cpus", "2", *_of(node)]
        argv = [sys.executable, "-c", f"'{RAY}'", "start", *where]
        node.start(["sh", "-c", AGAIN.format(command=" ".join(argv))])

    def start_engine(self, **environment: str) -> subprocess.Popen[bytes]:
        """`ridgeway worker --engine ray` on the head's machine, with two workers."""
        ours = [sys.executable, "-P", "-m", "ridgeway", "worker", "--engine", "ray"]
        limits = ["--cpus-per-worker", "1", "--min", "1", "--max", "2", "--idle-seconds", "3"]
        self.engine = self.head.start([*ours, "--address", self.address, *limits], **environment)
        return self.engine

    def actors(self, kind: str) -> dict[Machine, list[int]]:
        """The processes of our actors of a kind, by machine."""
        return {
            machine: [pid for pid, line in machine.processes().items() if line == f"ray::{kind}"]
            for machine in (self.head, *self.nodes)
        }


def _of(machine: Machine) -> list[str]:
    """What `ray start` is told of the machine that it runs on."""
    own = ["--node-ip-address", machine.address, "--temp-dir", str(machine.folder)]
    return [*own, *FREE_PORTS, *LEAST]


@contextmanager
def machines(
    network: Network, numbers: Sequence[int], settings: Mapping[str, str], logs: Path
) -> Iterator[list[Machine]]:
    """Machines of these numbers that share settings; gone with all that runs there afterwards."""
    environment = {**RAY_ENVIRONMENT, "PYTHONPATH": str(REPOSITORY), **settings}
    made: list[Machine] = []
    try:
        for number in numbers:
            made.append(network.machine(number, environment, logs / f"machine{number}.log"))
        yield made
    finally:
        for machine in made:
            machine.close()
