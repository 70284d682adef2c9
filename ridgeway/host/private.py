"""What Ridgeway writes is for the user alone that it runs as."""

from __future__ import annotations

import os


def keep_private() -> None:
    """Let nobody else read what this process and its children create: folders 0700, files 0600."""
    os.umask(0o077)
