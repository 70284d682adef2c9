"""Whom a job tells of its end."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import Field
from pydantic_core import PydanticCustomError

from ridgeway.spec.strict import Check, Strict

MOST_NOTIFIED = 10
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
# So plain that no two readers of URLs take it for different hosts: no user, no escapes in the
# host, no backslash, no fragment. An address of IPv6 needs a name.
_PATTERN = (
    rf"^https?://[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:({_PORT}))?"
    r'([/?][!"$-\[\]-~]*)?$'
)


def _web_address(url: str) -> str:
    if not re.fullmatch(_PATTERN, url):
        raise PydanticCustomError(
            "url",
            "must be https://HOST[:PORT]/PATH, or http, in ASCII, without user, password and "
            "fragment",
        )
    return url


class Notification(Strict):
    """An address that gets a signed POST when the job has ended."""

    url: Annotated[
        str,
        Field(max_length=2000),
        Check(_web_address, {"pattern": _PATTERN}),
    ] = Field(description="of a host that the service's RIDGEWAY_NOTIFY_HOSTS allows")


Notify: TypeAlias = Annotated[
    list[Notification],
    Field(
        max_length=MOST_NOTIFIED,
        # Earlier releases read what is stored, and know no such field.
        exclude_if=lambda told: not told,
        description="who gets a signed POST when the job has ended",
    ),
]
