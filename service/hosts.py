"""Only requests to a name of this service are answered.

A page of evil.example may let its own name lead to this machine once it is loaded (DNS rebinding).
To the browser, page and service are then one origin; the `Host` tells them apart. An address can't
be bent like that, so every one is accepted.
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ridgeway.settings import Settings
from service.problems import problem
from service.refusing import refuse
from service.shown import cut

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::\d*)?")


class KnownHost:
    """ASGI middleware: 421 for a host that is not ours, 400 where none is named or several are.

    421 (Misdirected Request) says what it is: right for another server, never right for this one.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self.app = app
        self.names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        hosts = Headers(scope=scope).getlist("host")
        name = _name(hosts[0]) if len(hosts) == 1 else None
        if name is None:
            response = problem(400, "A request must name one host, in one Host header.")
            await refuse(response, receive, send)
        elif name in self.names or _is_address(name):
            await self.app(scope, receive, send)
        else:
            detail = (
                f"{cut(name)!r} is no name of this service. If it should be, "
                "add it to the setting RIDGEWAY_HOSTS."
            )
            await refuse(problem(421, detail), receive, send)


def own_names(settings: Settings) -> frozenset[str]:
    """Return the names of this service: what it listens on, this machine's, and those set."""
    names = {"localhost", settings.host, socket.gethostname(), *settings.named_hosts()}
    return frozenset(name.lower() for name in names)


def _name(host: str) -> str | None:
    """Return a Host header's name in small letters, without port; None for what is no host."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower().removesuffix(".") if found else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
