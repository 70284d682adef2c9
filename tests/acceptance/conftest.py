"""Fixtures: Ridgeway installed from the source tree or a wheel, deployed on each database."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator

import pytest
from deployments import REPOSITORY, Deployment, Installation, deployed


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


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def deployment(
    request: pytest.FixtureRequest,
    source_tree: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """`ridgeway serve` on SQLite, and the containers' commands on PostgreSQL."""
    yield from deployed(request, source_tree, tmp_path_factory)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def wheel_deployment(
    request: pytest.FixtureRequest,
    wheel: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """The same from an installed wheel."""
    yield from deployed(request, wheel, tmp_path_factory)


@pytest.fixture(autouse=True)
def log_of_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the processes wrote during the test; pytest shows it when the test has failed."""
    yield
    for name in ("deployment", "wheel_deployment"):
        if name in request.fixturenames:
            for log in request.getfixturevalue(name).logs:
                print(f"--- {log.name}\n{log.read_text()[-4000:]}")


os.environ.setdefault("RIDGEWAY_LEASE_SECONDS", "6")
os.environ.setdefault("RIDGEWAY_RENEW_SECONDS", "1")
