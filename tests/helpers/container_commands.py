"""What containers run: whether their commands parse, and what names they are given."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

import click

from ridgeway.cli import main
from ridgeway.settings import SECRETS, Settings

VARIABLES = {f"RIDGEWAY_{name.upper()}" for name in Settings.model_fields}
VARIABLES |= {f"RIDGEWAY_{name.upper()}_FILE" for name in SECRETS}


def parse(command: Sequence[str]) -> None:
    """Raise unless `ridgeway` or `python -m service` takes these arguments; nothing is run."""
    if command[0] == "ridgeway":
        name, *arguments = command[1:]
        assert isinstance(main.commands[name].make_context(name, arguments), click.Context)
        return
    assert command[:4] == ["python", "-P", "-m", "service"], command
    # The values are checked on the way to --help, the names by what it prints.
    parsed = subprocess.run(
        [sys.executable, *command[1:], "--help"], capture_output=True, text=True, check=False
    )
    assert parsed.returncode == 0, parsed.stderr
    assert all(flag in parsed.stdout for flag in command if flag.startswith("--"))


def unknown_variables(text: str) -> set[str]:
    """The names in a text that look like settings of ours, and are none."""
    named = set(re.findall(r"\bRIDGEWAY_[A-Z_]+", text))
    assert named
    return named - VARIABLES
