"""HTTP by hand, for what no client would send."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

# In the place of a name: what would be another file, if anything made a path of it.
CLIMBING = (
    *("../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd"),
    *("..%5c..%5cetc%5cpasswd", "%252e%252e%252fetc%252fpasswd", "/etc/passwd", "%2fetc%2fpasswd"),
    *("file:%2f%2f%2fetc%2fpasswd", "..%c0%af..%c0%afetc%c0%afpasswd", "ridgeway.db%00.json"),
)


def connected(url: str) -> socket.socket:
    """A connection to the service."""
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout=30)


def read(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    said = b""
    try:
        while part := connection.recv(65536):
            said += part
    except ConnectionResetError:
        pass
    return said


def problem_of(said: bytes) -> dict[str, Any]:
    """The problem that an answer tells."""
    head, _, body = said.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return json.loads(body)
