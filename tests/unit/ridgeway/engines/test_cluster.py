"""What the engine `ray` refuses before it touches a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ridgeway.cli import main
from ridgeway.engines.cluster import RayEngine
from ridgeway.engines.scaling import Limits
from ridgeway.engines.surroundings import shared_settings
from ridgeway.errors import InvalidInput, RidgewayError
from ridgeway.host import roles

SHARED = {
    "RAY_AUTH_MODE": "token",
    "RIDGEWAY_DATABASE_URL": "postgresql://ann:hidden@db.example/ridgeway",
    "RIDGEWAY_STORE_URL": "s3://ridgeway",
}


@pytest.fixture(autouse=True)
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RIDGEWAY_DATABASE_URL_FILE", raising=False)


def worker(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["worker", *arguments])


@pytest.mark.parametrize("mode", [None, "", "disabled"])
def test_without_a_token_no_cluster_is_touched(monkeypatch: pytest.MonkeyPatch, mode: str | None):
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE")
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    done = worker("--engine", "ray")
    assert done.exit_code == 2
    assert "RAY_AUTH_MODE" in done.stderr
    assert "CVE-2023-48022" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RIDGEWAY_DATABASE_URL", ""),
        ("RIDGEWAY_DATABASE_URL", "sqlite:////srv/secret.db"),
        ("RIDGEWAY_STORE_URL", ""),
    ],
)
def test_what_other_nodes_would_not_see_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    done = worker("--engine", "ray")
    assert done.exit_code == 2
    assert name in done.stderr
    assert "secret" not in done.stderr


def test_the_database_s_url_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("RIDGEWAY_DATABASE_URL")
    (tmp_path / "url").write_text("mysql://db.example/ridgeway\n")
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert "RIDGEWAY_DATABASE_URL: must name a PostgreSQL" in worker("--engine", "ray").stderr


def test_what_an_actor_raises_tells_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RIDGEWAY_LEASE_SECONDS", "-1")
    monkeypatch.setenv("RIDGEWAY_API_KEY_FILE", "/nowhere/key")
    monkeypatch.delenv("RIDGEWAY_API_KEY", raising=False)
    with pytest.raises(InvalidInput, match="RIDGEWAY_API_KEY_FILE") as refused:
        shared_settings()
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", "local", ""])
def test_an_address_is_a_head_s(address: str):
    with pytest.raises(InvalidInput, match=r"--address.*accepted: auto or HOST:PORT"):
        RayEngine(address=address).run()


def test_no_more_than_the_most_are_always_there():
    done = worker("--engine", "ray", "--min", "4", "--max", "3")
    assert done.exit_code == 2
    assert "--max = 3: must be at least 1 and no less than --min (4)" in done.stderr
    assert RayEngine(limits=Limits(4, 4)).limits.clamp(pieces=9, room=0) == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["--address", "head:6379"],
        ["--min", "1"],
        ["--max", "auto"],
        ["--cpus-per-worker", "1"],
        ["--idle-seconds", "5"],
        ["--engine", "ray", "--processes", "2"],
    ],
)
def test_an_option_of_the_other_engine_is_refused(arguments: list[str]):
    done = worker(*arguments)
    assert done.exit_code == 2
    assert f"{arguments[-2]} = " in done.stderr
    assert "is for --engine" in done.stderr


@pytest.mark.parametrize("share", ["0", "-1", "nan", "much"])
def test_a_share_is_a_number_of_cores(share: str):
    assert worker("--engine", "ray", "--cpus-per-worker", share).exit_code == 2


def test_where_ray_is_not_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(roles, "find_spec", lambda name: None if name == "ray" else object())
    with pytest.raises(RidgewayError, match=r"pip install 'ridgeway\[ray\]'"):
        RayEngine().run()
