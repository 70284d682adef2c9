"""The compose file: its schema, and that what it runs and sets exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ridgeway.cli import main
from ridgeway.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
COMMANDS = [service["command"] for service in SERVICES.values() if "command" in service]


def test_the_file_fits_the_compose_specification() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_parses(command: list[str]) -> None:
    if command[0] == "ridgeway":
        name, *arguments = command[1:]
        found = main.commands[name]
        assert isinstance(found.make_context(name, arguments), click.Context)
        return
    assert command[:4] == ["python", "-P", "-m", "service"]
    # The values are checked on the way to --help, the names by what it prints.
    parsed = subprocess.run(
        [sys.executable, *command[1:], "--help"], capture_output=True, text=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr
    assert all(flag in parsed.stdout for flag in command if flag.startswith("--"))


def test_a_flag_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        main.commands["worker"].make_context("worker", ["--gpu"])


def test_every_ridgeway_variable_is_a_setting() -> None:
    settings = {f"RIDGEWAY_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"RIDGEWAY_\w+", FILE.read_text() + DOCKERFILE))
    assert named
    assert named <= settings


def test_service_workers_and_migration_share_one_environment() -> None:
    ours = [service for name, service in SERVICES.items() if name != "postgres"]
    environments = [service["environment"] for service in ours]
    assert all(environment == environments[0] for environment in environments)
    shared = [service["volumes"] for service in ours if "volumes" in service]
    assert len(shared) == 3
    assert all(volumes == shared[0] for volumes in shared)


def test_no_password_is_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert value.startswith("${POSTGRES_PASSWORD:?")


def test_workers_come_with_a_gpu_or_without() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles["workers-cpu"] == ["cpu"]
    assert profiles["workers-gpu"] == ["gpu"]
    [device] = SERVICES["workers-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert "deploy" not in SERVICES["workers-cpu"]


def test_every_build_target_is_a_stage_of_the_dockerfile() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    targets = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert targets == {"service", "workers"}
    assert targets <= stages


def test_no_stage_ends_as_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    final = [stage for stage in stages if "CMD [" in stage]
    assert len(final) == 2
    assert all("\nUSER ridgeway\n" in stage for stage in final)


def test_the_build_context_holds_what_the_dockerfile_copies() -> None:
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = {
        source
        for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.M)
        for source in line.split()
    }
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)
