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
from container_commands import parse, unknown_variables

from ridgeway.cli import main

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
    parse(command)


def test_a_flag_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        main.commands["worker"].make_context("worker", ["--gpu"])


def test_every_ridgeway_variable_is_a_setting() -> None:
    assert unknown_variables(FILE.read_text() + DOCKERFILE) == set()


def test_service_workers_and_migration_share_one_environment() -> None:
    ours = [service for name, service in SERVICES.items() if name != "postgres"]
    for shared in ("environment", "volumes", "secrets", "tmpfs", "user"):
        assert all(service[shared] == ours[0][shared] for service in ours)


def test_passwords_are_files_of_this_machine() -> None:
    for service in SERVICES.values():
        secret = [
            name for name in service["environment"] if re.search("PASSWORD|DATABASE_URL", name)
        ]
        assert secret
        for name in secret:
            assert name.endswith("_FILE")
            folder, _, file = service["environment"][name].rpartition("/")
            assert folder == "/run/secrets"
            assert file in service["secrets"]
    # Compose can't put what stands in the environment into a container whose root is read-only.
    assert all(secret.keys() == {"file"} for secret in COMPOSE["secrets"].values())


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_is_root_gains_rights_or_writes_where_it_likes(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in [*service["tmpfs"], *service["volumes"]]


def test_uploads_are_read_on_a_disk() -> None:
    assert "/tmp" in SERVICES["service"]["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_on_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    if service["restart"] != "no":
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    # A port without an address would be open to the network, past the machine's firewall.
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_containers_run_as_the_user_that_the_image_makes() -> None:
    assert "--uid 10001 --gid 10001" in DOCKERFILE
    ours = {service["user"] for name, service in SERVICES.items() if name != "postgres"}
    assert ours == {"10001:10001"}


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
