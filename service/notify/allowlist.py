"""Which hosts may be told of a job's end, and at which addresses they may be.

A client names a URL, and the service would ask it from inside the operator's network. So only
hosts that the operator names are asked, and only at public addresses unless the entry says which
others: RIDGEWAY_NOTIFY_HOSTS="hooks.example, ci.internal=10.1.2.0/24, http://127.0.0.1:9000".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings
from ridgeway.spec.notify import Notification

SETTING, SECRET = "RIDGEWAY_NOTIFY_HOSTS", "RIDGEWAY_WEBHOOK_SECRET"
PORTS = {"https": 443, "http": 80}
SHORTEST_SECRET, LONGEST_SECRET = 24, 64  # bytes, of the Standard Webhooks
_ENTRY = re.compile(r"(?:(https?)://)?([a-z0-9._-]+)(?::([0-9]{1,5}))?(?:=(\S+))?")
# Addresses of IPv6 in which one of IPv4 hides that a gateway would turn to.
_TRANSLATED = [ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")]


@dataclass(frozen=True)
class Allowed:
    """A host that may be asked. network: where its addresses may lie; None: anywhere public."""

    scheme: str
    host: str
    port: int
    network: IPv4Network | IPv6Network | None = None

    def admits(self, address: str) -> bool:
        """Return True for an address that this host may have."""
        ip = ip_address(address)
        if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return _is_public(ip) if self.network is None else ip in self.network


class Allowlist:
    """The hosts that may be told, in the order of the setting."""

    def __init__(self, entries: Sequence[Allowed] = ()) -> None:
        self._entries = {(each.scheme, each.host, each.port): each for each in entries}

    @classmethod
    def of(cls, settings: Settings) -> Allowlist:
        """Read the setting; InvalidInput for an entry that is none, or without a good secret."""
        texts = [text.strip() for text in (settings.notify_hosts or "").split(",")]
        entries = [_entry(text.lower()) for text in texts if text]
        if entries:
            webhook_of(settings)
        return cls(entries)

    def entry_of(self, url: str) -> Allowed | None:
        """Return the entry that allows a URL; None where none does."""
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
        return self._entries.get((parts.scheme, (parts.hostname or "").lower(), port))

    def require(self, told: Sequence[Notification]) -> None:
        """Raise InvalidInput for a URL that no entry allows."""
        for place, each in enumerate(told):
            if self.entry_of(each.url) is None:
                raise InvalidInput.of(f"notify.{place}.url", each.url, self._accepted())

    def _accepted(self) -> str:
        if not self._entries:
            return f"can't be told: this service tells nobody, as {SETTING} is empty; accepted: []"
        hosts = ", ".join(_shown(each) for each in self._entries.values())
        return f"is of no host that {SETTING} allows; accepted: {hosts}"


def webhook_of(settings: Settings) -> Webhook:
    """Return what signs by the deployment's secret; InvalidInput unless that is a good one."""
    message = (
        f"must be set where {SETTING} is, to whsec_ and {SHORTEST_SECRET} to {LONGEST_SECRET} "
        "random bytes in base64: see docs/notifications.md"
    )
    if settings.webhook_secret is None:
        raise InvalidInput.of(SECRET, None, message)
    secret = settings.webhook_secret.get_secret_value()
    found = re.fullmatch(r"whsec_([A-Za-z0-9+/]+={0,2})", secret)
    size = len(found[1].rstrip("=")) * 3 // 4 if found else 0
    if not SHORTEST_SECRET <= size <= LONGEST_SECRET:
        raise InvalidInput.of(SECRET, None, message)
    try:
        return Webhook(secret)
    except ValueError:  # of a length that base64 has not
        raise InvalidInput.of(SECRET, None, message) from None


def _entry(text: str) -> Allowed:
    found = _ENTRY.fullmatch(text)
    accepted = "accepted: HOST, HOST:PORT, http://HOST, each with =NETWORK too, such as 10.1.2.0/24"
    if found is None:
        raise InvalidInput.of(SETTING, text, f"{text!r} is no entry; {accepted}")
    scheme, host, network = found[1] or "https", found[2], found[4]
    port = int(found[3] or PORTS[scheme])
    try:
        if network is None and _is_address(host):
            network = host  # whoever names an address means it
        within = None if network is None else ip_network(network)
    except ValueError as error:
        raise InvalidInput.of(SETTING, text, f"{error}; {accepted}") from None
    if not 0 < port < 65536:
        raise InvalidInput.of(SETTING, text, f"{port} is no port; accepted: 1 to 65535")
    return Allowed(scheme, host, port, within)


def _shown(entry: Allowed) -> str:
    port = "" if entry.port == PORTS[entry.scheme] else f":{entry.port}"
    return f"{entry.scheme}://{entry.host}{port}"


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    hidden = isinstance(ip, IPv6Address) and (
        ip.teredo is not None or any(ip in network for network in _TRANSLATED)
    )
    return ip.is_global and not ip.is_multicast and not hidden


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
