"""Fixtures: Ridgeway installed from the source tree or a wheel, deployed on each database."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import REPOSITORY, Deployment, Installation


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The source tree as `make setup` installs it, run from another folder."""
    return Installation(sys.executable, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A wheel of the source tree, in an environment and a folder of its own.

    What Ridgeway depends on is borrowed from this environment, whose editable Ridgeway is not.
    """
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    (wheel_file,) = folder.glob("*.whl")
    install = ["-m", "pip", "--python", str(python), "install", "--no-deps", str(wheel_file)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installation(str(python), folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(
    request: pytest.FixtureRequest, source_tree: Installation, tmp_path: Path
) -> Iterator[Deployment]:
    """`ridgeway serve` on SQLite, and the containers' commands on PostgreSQL."""
    deployed = _deploy(request, request.param, source_tree, tmp_path)
    yield deployed
    _stop(deployed, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def wheel_deployment(
    request: pytest.FixtureRequest, wheel: Installation, tmp_path: Path
) -> Iterator[Deployment]:
    """The same from an installed wheel."""
    deployed = _deploy(request, request.param, wheel, tmp_path)
    yield deployed
    _stop(deployed, tmp_path)


def _deploy(
    request: pytest.FixtureRequest, kind: str, installation: Installation, folder: Path
) -> Deployment:
    if kind == "sqlite":
        return installation.serve(folder / "data")
    return installation.compose(request.getfixturevalue("empty_postgres_url"), folder)


def _stop(deployment: Deployment, folder: Path) -> None:
    deployment.stop()
    for log in folder.glob("*.log"):  # shown by pytest when the test has failed
        print(f"--- {log.name}\n{log.read_text()[-4000:]}")


os.environ.setdefault("RIDGEWAY_LEASE_SECONDS", "6")
os.environ.setdefault("RIDGEWAY_RENEW_SECONDS", "1")
