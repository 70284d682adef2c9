"""What a process needs in its environment to work as one of a cluster's."""

from __future__ import annotations

import os

from pydantic import ValidationError

from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings, refusals

WHY_TOKENS = "whoever reaches a Ray cluster without a token runs code on it (CVE-2023-48022)"


def require_token_mode() -> None:
    """Raise InvalidInput unless this process shows Ray a token, and asks for one."""
    found = os.environ.get("RAY_AUTH_MODE")
    if (found or "").lower() != "token":
        message = (
            "must be 'token' here and for `ray start` on every node, with one token for all in "
            f"RAY_AUTH_TOKEN_PATH, RAY_AUTH_TOKEN or ~/.ray/auth_token: {WHY_TOKENS}"
        )
        raise InvalidInput.of("RAY_AUTH_MODE", found, message)


def shared_settings() -> Settings:
    """Return this process's settings; InvalidInput unless many machines can share what they name.

    No value is told: what an actor raises goes into Ray's logs.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        raise InvalidInput("; ".join(refusals(error))) from None
    _require_shared(settings)
    return settings


def _require_shared(settings: Settings) -> None:
    url = settings.database_url
    if url is None or not url.get_secret_value().startswith("postgresql"):
        message = (
            "must name a PostgreSQL database that every node reaches; accepted: "
            "postgresql://USER@HOST/NAME, or RIDGEWAY_DATABASE_URL_FILE with such a line"
        )
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, message)
    if settings.store_url is None:
        message = "must name a store that every node reaches; accepted: an fsspec URL or a folder"
        raise InvalidInput.of("RIDGEWAY_STORE_URL", None, message)
