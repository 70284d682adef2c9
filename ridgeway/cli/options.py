"""Shared parts of commands: options, the client behind `--url`, JSON on standard output."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource
from pydantic import BaseModel

from ridgeway.settings import Settings

if TYPE_CHECKING:
    from ridgeway.client.client import Client

_Command = TypeVar("_Command", bound=Callable[..., Any])


def setting(flag: str, name: str, **options: Any) -> Callable[[_Command], _Command]:
    """Make an option with the default, environment variable and meaning of a setting."""
    field = Settings.model_fields[name]
    return click.option(
        flag,
        default=field.default,
        envvar=f"RIDGEWAY_{name.upper()}",
        help=f"{field.description}".capitalize() + ".",
        show_default=True,
        show_envvar=True,
        **options,
    )


url_option = setting("--url", "url")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
header_option = click.option(
    "--header",
    type=click.Choice(["auto", "true", "false"]),
    default="auto",
    show_default=True,
    help="Of a CSV: whether its first row holds the columns' names.",
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="How many to list at most.",
)


def connect(url: str) -> Client:
    """Return a client of the service at the URL."""
    from ridgeway.client.client import Client

    return Client(url)


def given_url() -> str:
    """Return the option --url as the command line has it, with a space before; "" where not."""
    context = click.get_current_context()
    if context.get_parameter_source("url") is not ParameterSource.COMMANDLINE:
        return ""
    return f" --url {shlex.quote(context.params['url'])}"


def echo_plain(text: str, *, newline: bool = True, error: bool = False) -> None:
    """Print text from a service: as it is into a file or pipe, steering no terminal."""
    from ridgeway.client.plain import plain

    stream = sys.stderr if error else sys.stdout
    click.echo(plain(text) if stream.isatty() else text, nl=newline, err=error)


def print_json(shown: BaseModel | list[Any]) -> None:
    """Print one JSON document on standard output."""
    items = shown if isinstance(shown, list) else [shown]
    written = [item.model_dump(mode="json") for item in items]
    document = written if isinstance(shown, list) else written[0]
    echo_plain(json.dumps(document, indent=2, ensure_ascii=False))
