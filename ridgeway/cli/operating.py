"""Commands for whoever runs Ridgeway: doctor, top, gc, backup, restore."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ridgeway.cli.options import echo_plain, json_option, print_json
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings
from ridgeway.words import DAY_SECONDS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ridgeway.operate.findings import Finding

# What a command needs is imported in it: `--help` must stay quick.

DATABASE_URL = "RIDGEWAY_DATABASE_URL"
MARKS = {"ok": "green", "warn": "yellow", "fail": "red"}

data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder of a `ridgeway serve`; RIDGEWAY_DATA by default.",
)


class Age(click.ParamType[float]):
    """A length of time such as 90d, in seconds."""

    name = "AGE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([hdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age; accepted: 12h, 90d, 8w.", param, ctx)
        return float(found[1]) * {"h": 3600.0, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}[found[2]]


def settings_of(data: Path | None) -> Settings:
    """Return the settings of the installation in a folder, or that the environment names."""
    return Settings() if data is None else Settings(data=data)


def _begin() -> None:
    """Require what a database needs; whatever is written is for its user alone."""
    from ridgeway.host.private import keep_private
    from ridgeway.host.roles import require_installed

    require_installed("database")
    keep_private()


@click.command()
@data_option
@json_option
def doctor(data: Path | None, as_json: bool) -> None:
    """Check this installation, and say what to do about what is not well.

    Exit code 1 where a check fails; one that only warns does not count.
    """
    _begin()
    from ridgeway.client.show import write
    from ridgeway.operate.doctor import diagnose

    found = diagnose(data)
    if as_json:
        print_json([*found])
    else:
        write(_shown(found))
    sys.exit(any(finding.status == "fail" for finding in found))


def _shown(found: Sequence[Finding]) -> RenderableType:
    """Show findings, one a line, and what to do below those that ask for it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found:
        text = Text(finding.sentence)
        if finding.remedy is not None:
            text.append(f"\n{finding.remedy}", style="dim")
        table.add_row(Text(finding.status, style=MARKS[finding.status]), finding.check, text)
    return table


@click.command()
@data_option
@click.option(
    "--older-than",
    type=Age(),
    help="Delete jobs too that ended so long ago: 12h, 90d, 8w. Default: RIDGEWAY_KEEP_JOBS_DAYS.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing; say what would be.")
@json_option
def gc(data: Path | None, older_than: float | None, dry_run: bool, as_json: bool) -> None:
    """Make room: delete old jobs, files that nothing names, what dead services left.

    Safe beside a service and workers: what they are at is not touched.
    """
    _begin()
    from ridgeway.client.show import write
    from ridgeway.operate.findings import sized
    from ridgeway.operate.room import Collection, collect

    settings = require_there(settings_of(data))
    if older_than is None and settings.keep_jobs_days is not None:
        older_than = settings.keep_jobs_days * DAY_SECONDS
    freed = collect(settings, Collection(older_than, dry_run))
    if as_json:
        print_json([*freed])
        return
    for each in freed:
        for name in each.names:
            echo_plain(f"{each.kind}: {name}")
    verb = "would be deleted" if dry_run else "deleted"
    told = ", ".join(f"{each.count} {each.kind}" for each in freed)
    write(f"{told}: {sized(sum(each.bytes for each in freed))} {verb}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@data_option
def backup(file: Path, data: Path | None) -> None:
    """Write database and store into FILE, a new one, while service and workers go on.

    It holds all that Ridgeway knows: keep it as private as the data folder.
    """
    _begin()
    from ridgeway.operate.backup import back_up
    from ridgeway.operate.findings import sized

    manifest = back_up(require_there(settings_of(data)), file)
    for key in manifest.missing:
        echo_plain(f"Not in the store, and so not in the backup: {key}", error=True)
    size = sized(file.stat().st_size)
    echo_plain(f"{file}: the database and {len(manifest.files) - 1} files, {size}")


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@data_option
def restore(file: Path, data: Path | None) -> None:
    """Restore the backup FILE to a data folder, or to the database and store of the settings.

    Refused where a database or files are there already. Every checksum is verified first.
    """
    _begin()
    from ridgeway.operate.restore import restore as run

    manifest = run(settings_of(data), file)
    echo_plain(f"The database and {len(manifest.files) - 1} files are restored.")


def require_there(settings: Settings) -> Settings:
    """Refuse an embedded database that is not there: nothing is made by mistake."""
    if settings.database_url is None and not (settings.data / "ridgeway.db").exists():
        message = f"holds no ridgeway.db; name the data folder, or set {DATABASE_URL}"
        raise InvalidInput.of("--data", str(settings.data), message)
    return settings
