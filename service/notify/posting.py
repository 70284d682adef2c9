"""A POST to a host that may be told, at an address that was checked, and to nothing else.

The name is resolved once, each address is checked, and the connection goes to what was checked: a
name that leads elsewhere a moment later (DNS rebinding) leads nowhere. Redirects are not followed,
proxies of the environment not used, the answer's body not read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from service.notify.allowlist import Allowed

SENT = {"Content-Type": "application/json", "User-Agent": "Ridgeway"}
POST_SECONDS = 10.0  # for all of it, however slowly a receiver answers

Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class NotTold(Exception):
    """The receiver could not be told; the message says why."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system resolves it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


async def post(
    url: str,
    allowed: Allowed,
    body: str,
    headers: Mapping[str, str],
    find: Resolve = resolve,
) -> int:
    """Return the status that the receiver answers with; NotTold where it can't be asked."""
    try:
        async with asyncio.timeout(POST_SECONDS):
            address = await _checked_address(allowed, find)
            return await _post_to(address, url, allowed, body, headers)
    except TimeoutError:
        raise NotTold(f"it did not answer within {POST_SECONDS:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ssl.SSLError) as error:
        raise NotTold(f"{type(error).__name__}: {error}"[:200]) from None


async def _checked_address(allowed: Allowed, find: Resolve) -> str:
    """Return an address of the host; NotTold unless all that it has may be asked."""
    found = await find(allowed.host, allowed.port)
    refused = [address for address in found if not allowed.admits(address)]
    if refused or not found:
        where = f"at {refused[0]}, " if refused else ""
        raise NotTold(f"{allowed.host} is {where}no address that may be asked")
    return found[0]


async def _post_to(
    address: str, url: str, allowed: Allowed, body: str, headers: Mapping[str, str]
) -> int:
    parts = urlsplit(url)
    host = f"[{address}]" if ":" in address else address
    place = f"{allowed.scheme}://{host}:{allowed.port}{parts.path or '/'}"
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=POST_SECONDS) as client,
        client.stream(
            "POST",
            f"{place}?{parts.query}" if parts.query else place,
            content=body.encode(),
            headers={**headers, **SENT, "Host": parts.netloc},
            # The certificate is checked for the name, not for the address.
            extensions={"sni_hostname": allowed.host},
        ) as answer,
    ):
        return answer.status_code
