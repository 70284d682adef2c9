"""Commands on API keys and the audit log. They work on the database itself, as `migrate` does."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ridgeway.cli.options import echo_plain, json_option, limit_option, setting

# What a command needs is imported in it: `--help` must stay quick.

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36500)


class Duration(click.ParamType[Any]):
    """A time such as 90d, 12h or 2w."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9][0-9]{0,6})([mhdw])", value, re.ASCII)
        duration = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None
        if duration is None or duration > LONGEST:
            self.fail(f"{value!r} is no duration such as 90d, 12h or 2w, up to 100 years.")
        return duration


data_option = setting("--data", "data", type=click.Path(file_okay=False, path_type=Path))


def _limit(flag: str, name: str, help: str) -> Any:
    least = 1 if name == "requests_per_minute" else 0
    whole = click.IntRange(least, 2**53 if name == "bytes" else 2**31 - 1)
    return click.option(flag, name, type=whole, metavar="N", help=f"{help}; by default any.")


WEIGHT = click.IntRange(1, 1000)


@click.group()
def keys() -> None:
    """API keys: who may do what."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "submit", "admin"]),
    default="submit",
    show_default=True,
    help="What it may do: read its own, also submit and change its own, or everything.",
)
@click.option("--expires", type=Duration(), metavar="90d", help="After which time, as 90d or 12h.")
@_limit("--max-open-jobs", "open_jobs", "Most jobs queued, running or paused at a time")
@_limit("--max-trials", "trials", "Most trials in its open jobs together")
@_limit("--max-bytes", "bytes", "Most bytes of its data sets together")
@_limit("--rate", "requests_per_minute", "Most requests a minute")
@click.option(
    "--weight",
    type=WEIGHT,
    default=1,
    show_default=True,
    metavar="N",
    help="Its share of the workers: a key of weight 2 gets twice as much as one of 1.",
)
@data_option
def create_key(
    name: str, scope: str, expires: timedelta | None, weight: int, data: Path, **limits: int | None
) -> None:
    """Make a key for NAME, and print it: this once, on standard output.

    NAME says whose it is or what it is for. In a folder without a database one is made.
    """
    made = _ordered(
        data,
        "create",
        name=name,
        scope=scope,
        expires_in=None if expires is None else expires.total_seconds(),
        weight=weight,
        limits=limits,
    )
    click.echo(made["key"])
    known = f"Key {made['prefix']}, scope {scope}. It is not shown again: keep it as a password."
    click.echo(f"{known}\nSend it with: export RIDGEWAY_API_KEY=...", err=True)


@keys.command("list")
@json_option
@data_option
def list_keys(as_json: bool, data: Path) -> None:
    """List keys by what they begin with; never the keys themselves."""
    found = _ordered(data, "list")
    if as_json:
        echo_plain(json.dumps(found, indent=2, ensure_ascii=False))
        return
    from ridgeway.client.show import write
    from ridgeway.client.show_keys import key_table

    write(key_table(found) if found else "There are no keys yet.")


@keys.command("revoke")
@click.argument("prefix")
@data_option
def revoke_key(prefix: str, data: Path) -> None:
    """End the key that begins with rw_PREFIX, for good, and every sign-in with it.

    Services that run let it in for at most two seconds more. What it made stays its own.
    """
    click.echo(f"Revoked {_ordered(data, 'revoke', prefix=prefix)['prefix']}.", err=True)


@keys.command("weight")
@click.argument("prefix")
@click.argument("weight", type=WEIGHT)
@data_option
def weigh_key(prefix: str, weight: int, data: Path) -> None:
    """Have the key that begins with rw_PREFIX share the workers by WEIGHT, from now on.

    Keys whose jobs wait share them in proportion to their weights; every key has 1 to begin with.
    """
    done = _ordered(data, "weigh", prefix=prefix, weight=weight)
    click.echo(f"{done['prefix']} has a weight of {weight} now.", err=True)


@click.command()
@click.option("--since", help="Only what is younger: 12h, 7d, or a date as 2026-01-31.")
@limit_option
@json_option
@data_option
def audit(since: str | None, limit: int, as_json: bool, data: Path) -> None:
    """Show the audit log: who changed what, newest first."""
    found = _ordered(data, "audit", since=_moment(since), limit=limit)
    if as_json:
        echo_plain(json.dumps(found, indent=2, ensure_ascii=False))
        return
    from ridgeway.client.show import write
    from ridgeway.client.show_keys import audit_table

    write(audit_table(found))


def _moment(since: str | None) -> str | None:
    if since is None:
        return None
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        moment = datetime.now(UTC) - Duration().convert(since, None, None)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _ordered(data: Path, task: str, **fields: Any) -> Any:
    """Have a task done on the database; end as its process did where that failed."""
    from ridgeway.host.keys import order
    from ridgeway.host.private import keep_private
    from ridgeway.host.roles import require_installed

    require_installed("database")
    keep_private()
    environment: Mapping[str, str] = {"RIDGEWAY_DATA": str(data.absolute())}
    done = order(task, environment, **fields)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)
