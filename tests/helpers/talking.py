"""HTTP by hand, for what no client would send."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit


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
