"""Whether a Ray cluster asks for a token, tried as a stranger would."""

from __future__ import annotations

import os
import subprocess
import sys

from ridgeway.engines.surroundings import WHY_TOKENS
from ridgeway.errors import InvalidInput, Unreachable

# Ray reads once a process how it is to authenticate, so a stranger is a process of its own.
STRANGER = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1])
except AuthenticationError:
    sys.exit(77)
"""
REFUSED = 77  # the stranger's exit code
STRANGER_SECONDS = 60.0


def require_guarded(address: str) -> None:
    """Raise InvalidInput if the cluster at HOST:PORT lets in who has no token.

    Unreachable where no cluster answers.
    """
    code = _ask_as_stranger(address)
    if code == 0:
        message = (
            f"is a cluster that asks nobody for a token, and {WHY_TOKENS}; start each of its nodes "
            "with RAY_AUTH_MODE=token"
        )
        raise InvalidInput.of("--address", address, message)
    if code != REFUSED:
        raise Unreachable(f"No Ray cluster answers at {address}.")


def _ask_as_stranger(address: str) -> int | None:
    """Return the stranger's exit code; None where it waited in vain."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH_")}
    try:
        return subprocess.run(
            [sys.executable, "-P", "-c", STRANGER, address],
            env={**environment, "RAY_AUTH_MODE": "disabled"},
            capture_output=True,
            timeout=STRANGER_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return None
