"""Whether a service asks for keys, and the refusal to start one that would and has none."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from ridgeway.errors import RidgewayError
from ridgeway.settings import Settings


def keys_needed(settings: Settings) -> bool:
    """Return True where every request needs a key: by the setting, else by the address.

    On the loopback interface a service is open, as only programs of the same machine reach it.
    """
    if settings.require_keys is not None:
        return settings.require_keys
    return not is_loopback(settings.host)


def is_loopback(host: str) -> bool:
    """Return True if a service that listens there is reached from the same machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host or None, None, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return bool(host) and all(ip_address(str(each[4][0])).is_loopback for each in found)


class NoKey(RidgewayError):
    """A service that asks for keys has none."""

    @classmethod
    def of(cls, settings: Settings) -> NoKey:
        """Return the refusal to start, with what to do."""
        where = "" if settings.database_url is not None else f" --data {settings.data}"
        why = (
            "RIDGEWAY_REQUIRE_KEYS is set"
            if settings.require_keys
            else f"other machines may reach {settings.host or 'every address'}"
        )
        return cls(
            f"Not started: every request would need a key, as {why}, and there is no usable key.\n"
            f"  Make one:              ridgeway keys create NAME --scope admin{where}\n"
            "  Or this machine alone: --host 127.0.0.1\n"
            "  Or let everybody in who reaches it, to do everything: --insecure"
        )
