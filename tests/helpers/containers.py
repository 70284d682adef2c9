"""Containers of docker-compose.yml and of the manifests for Kubernetes as plain processes.

A process has its container's command and environment and nothing else of ours; folders of the
container become folders of a test, S3 a folder, and port 8000 a free one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from deployments import REPOSITORY
from kustomizing import Manifest, overlay, pods, settings_of

PORT = "8000"
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Container:
    """What is run, in which environment, and what tells whether it is well; None for once."""

    command: Sequence[str]
    environment: Mapping[str, str]
    health: Sequence[str] | None


@dataclass(frozen=True)
class Machine:
    """Where a test's containers have their folders, and the one port that they have."""

    folder: Path
    cache: Path
    port: int

    def prepare(self, database_url: str) -> None:
        """Make the folders, and the secret by the names that it has here and there."""
        for name in ("secrets", "store", "elsewhere"):
            (self.folder / name).mkdir()
        (self.folder / "secrets" / "database-url").write_text(database_url + "\n")

    def start(self, container: Container, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                self._argv(container.command),
                cwd=self.folder / "elsewhere",
                env=self._environment(container),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, container: Container, command: Sequence[str]) -> str:
        """Standard output of a further command in a container, which must succeed."""
        done = subprocess.run(
            self._argv(command),
            cwd=self.folder / "elsewhere",
            env=self._environment(container),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def well(self, container: Container) -> bool:
        assert container.health is not None
        argv = self._argv(container.health)
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def _argv(self, command: Sequence[str]) -> list[str]:
        """The command with this Python, and this machine's port where it names its own."""
        here = [re.sub(rf"\b{PORT}\b", str(self.port), word) for word in command]
        if here[0] == "python":
            return [sys.executable, *here[1:]]
        return [sys.executable, "-P", "-m", *here] if here[0] == "ridgeway" else here

    def _environment(self, container: Container) -> dict[str, str]:
        moved = {
            name: re.sub(r"^/run/secrets(/ridgeway)?", str(self.folder / "secrets"), value)
            for name, value in container.environment.items()
        }
        for name, value in moved.items():
            moved[name] = re.sub(r"^/var/cache/ridgeway", str(self.cache), value)
        # A store of this test's own, whatever it is there.
        assert "RIDGEWAY_STORE_URL" in moved
        moved["RIDGEWAY_STORE_URL"] = str(self.folder / "store")
        return {name: os.environ[name] for name in KEPT if name in os.environ} | moved


def composed() -> dict[str, Container]:
    """The containers of docker-compose.yml that run our images."""
    compose = yaml.safe_load(REPOSITORY.joinpath("docker-compose.yml").read_text())
    return {
        name: Container(
            service["command"],
            {key: _with_defaults(value) for key, value in service["environment"].items()},
            _tested(service.get("healthcheck")),
        )
        for name, service in compose["services"].items()
        if "command" in service
    }


def clustered(name: str) -> dict[str, Container]:
    """The containers of an overlay that run our images."""
    objects = overlay(name)
    environment = settings_of(objects)
    return {
        container["name"]: Container(container["command"], environment, _probed(container))
        for _, pod in pods(objects)
        for container in pod["containers"]
        if "command" in container
    }


def _with_defaults(value: str) -> str:
    """A value of a compose file where nothing is set that it asks for."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$")


def _tested(check: Manifest | None) -> Sequence[str] | None:
    if check is None:
        return None
    kind, *argv = check["test"]
    argv = [_with_defaults(word) for word in argv]
    return argv if kind == "CMD" else ["sh", "-c", *argv]


def _probed(container: Manifest) -> Sequence[str] | None:
    """The readiness probe as a command; a kubelet asks over HTTP itself."""
    probe = container.get("readinessProbe")
    if probe is None:
        return None
    if "exec" in probe:
        return probe["exec"]["command"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = f"http://127.0.0.1:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
    return ["python", "-c", f"import urllib.request as u; u.urlopen({asked!r}, timeout=3)"]
