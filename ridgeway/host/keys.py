"""What processes without a database of their own ask of keys, by `python -m ridgeway.keys`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from ridgeway.host.locks import sqlite_file
from ridgeway.keys.needed import NoKey, keys_needed
from ridgeway.settings import Settings

COMMAND = (sys.executable, "-P", "-m", "ridgeway.keys")


def order(
    task: str, environment: Mapping[str, str], **fields: Any
) -> subprocess.CompletedProcess[str]:
    """Have a task done; its answer is JSON, the reason of a failure is on standard error."""
    return subprocess.run(
        COMMAND,
        input=json.dumps({"task": task, **fields}),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def require_keys_database(settings: Settings) -> None:
    """Raise NoKey if a service with these settings asks for keys and has no database to hold any.

    Nothing is made, nothing is asked: so a start that must fail leaves nothing behind.
    """
    file = sqlite_file(settings.resolved_database_url())
    if keys_needed(settings) and file is not None and not file.exists():
        raise NoKey.of(settings)


def require_key(settings: Settings) -> int:
    """Return 0 if a service with these settings lets somebody in; else its reason was told.

    The database has this release's tables.
    """
    if not keys_needed(settings):
        return 0
    environment = {"RIDGEWAY_DATA": str(settings.data.absolute())}
    return order("require", environment, host=settings.host).returncode
