"""Whether a service asks for keys, by its address or as it is told."""

from __future__ import annotations

import pytest

from ridgeway.keys.needed import NoKey, is_loopback, keys_needed
from ridgeway.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_the_loopback_interface_is_open(host):
    assert is_loopback(host)
    assert not keys_needed(Settings(host=host))
    assert keys_needed(Settings(host=host, require_keys=True))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "2001:db8::1", "no.such.invalid"]
)
def test_every_other_address_is_closed(host):
    assert not is_loopback(host)
    assert keys_needed(Settings(host=host))
    assert not keys_needed(Settings(host=host, require_keys=False))


def test_the_refusal_says_why_and_what_to_do():
    said = str(NoKey.of(Settings(host="0.0.0.0")))
    assert "0.0.0.0" in said
    assert "ridgeway keys create NAME --scope admin --data ridgeway-data" in said
    assert "--insecure" in said
    remote = Settings(require_keys=True, database_url="postgresql://me:hunter2@db/x")  # type: ignore[arg-type]
    assert "RIDGEWAY_REQUIRE_KEYS" in str(NoKey.of(remote))
    assert "hunter2" not in str(NoKey.of(remote))
    assert "--data" not in str(NoKey.of(remote))
