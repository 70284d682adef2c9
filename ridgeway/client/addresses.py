"""Where a service may be said to be: an address is checked before anything is sent there."""

from __future__ import annotations

import httpx

from ridgeway.errors import InvalidInput


def checked_url(url: str) -> httpx.URL:
    """Read an address; InvalidInput (field `url`) where no service can be there."""
    try:
        parsed = httpx.URL(url)
        host = parsed.host
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter: no name of a host (IDNA)
        raise InvalidInput.of("url", url, f"is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise InvalidInput.of("url", url, "must be like http://127.0.0.1:8000")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        message = f"is no URL: port {parsed.port}; accepted: 1 to 65535"
        raise InvalidInput.of("url", url, message)
    return parsed
