"""The units of systemd and the script for Slurm: what they run is there, and takes what it gets."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from pathlib import Path

import pytest
from container_commands import parse, unknown_variables

from ridgeway.host.pulse import GRACE_SECONDS

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
SCRIPT = DEPLOY / "slurm" / "workers.sh"


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_what_there_is_as_somebody_without_rights(unit: Path) -> None:
    read = configparser.ConfigParser(interpolation=None)
    read.optionxform = str  # systemd heeds the case
    read.read(unit)
    service = read["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    parse([Path(program).name, *arguments])
    assert service["User"] == "ridgeway"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"
    assert float(service["TimeoutStopSec"]) >= 2 * GRACE_SECONDS


def test_every_element_of_the_array_runs_a_worker_with_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text("RIDGEWAY_STORE_URL=/srv/ridgeway/store\n")
    (tmp_path / "ridgeway").write_text('#!/bin/sh\necho "$RIDGEWAY_STORE_URL" ridgeway "$@"\n')
    (tmp_path / "ridgeway").chmod(0o755)
    ran = subprocess.run(
        [SCRIPT, "--device", "cuda"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "ENVIRONMENT": str(tmp_path / "environment")},
        capture_output=True,
        text=True,
        check=True,
    )
    store, *command = shlex.split(ran.stdout)
    assert store == "/srv/ridgeway/store"
    parse(command)
    assert command[-2:] == ["--device", "cuda"]


def test_every_ridgeway_variable_is_a_setting() -> None:
    page = (DEPLOY.parent / "docs" / "many-machines.md").read_text()
    assert unknown_variables(page) == set()
