"""Which hosts may be told, and at which addresses: everything else is refused."""

from __future__ import annotations

import pytest

from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings
from ridgeway.spec.notify import Notification
from service.notify.allowlist import Allowed, Allowlist

SECRET = "whsec_" + "c2VjcmV0" * 4


def allowlist(hosts: str, secret: str | None = SECRET) -> Allowlist:
    return Allowlist.of(Settings(notify_hosts=hosts, webhook_secret=secret))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:53aa:64c::", "2001:db8::1"),
    ],
)
def test_no_host_may_be_at_an_address_that_is_not_public(address: str) -> None:
    assert not Allowed("https", "hooks.example", 443).admits(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8"])
def test_a_host_may_be_at_any_public_address(address: str) -> None:
    assert Allowed("https", "hooks.example", 443).admits(address)


def test_an_entry_s_network_is_where_its_addresses_may_lie_and_nowhere_else() -> None:
    entry = allowlist("ci.internal=10.1.2.0/24").entry_of("https://CI.internal/hook?x=1")
    assert entry is not None
    assert entry.admits("10.1.2.9")
    assert not entry.admits("10.1.3.9")
    assert not entry.admits("93.184.215.14")
    local = allowlist("http://127.0.0.1:9000").entry_of("http://127.0.0.1:9000")
    assert local is not None
    assert local.admits("127.0.0.1")
    assert not local.admits("127.0.0.2")


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        ("hooks.example", "https://hooks.example/a", True),
        ("hooks.example", "https://hooks.example:443/a", True),
        ("other.example, Hooks.Example", "https://HOOKS.example/a", True),
        ("hooks.example", "http://hooks.example/a", False),
        ("hooks.example", "https://hooks.example:8443/a", False),
        ("hooks.example", "https://sub.hooks.example/a", False),
        ("hooks.example", "https://hooks.example.evil.example/a", False),
        ("hooks.example", "https://evil.example/hooks.example", False),
        ("hooks.example:8443", "https://hooks.example:8443", True),
        ("http://hooks.example", "http://hooks.example:80/", True),
        ("six.internal=fc00::/7", "https://six.internal/a", True),
        ("", "https://hooks.example/a", False),
    ],
)
def test_scheme_host_and_port_are_those_of_an_entry(hosts: str, url: str, allowed: bool) -> None:
    listed = allowlist(hosts, SECRET if hosts else None)
    assert (listed.entry_of(url) is not None) is allowed
    if allowed:
        listed.require([Notification(url=url)])
    else:
        with pytest.raises(InvalidInput, match=r"notify\.0\.url: .*; accepted: "):
            listed.require([Notification(url=url)])


def test_the_url_that_is_refused_is_named() -> None:
    told = [Notification(url=f"https://{name}.example") for name in ("hooks", "evil")]
    with pytest.raises(InvalidInput, match=r"accepted: https://hooks\.example") as refused:
        allowlist("hooks.example").require(told)
    assert refused.value.errors[0].field == "notify.1.url"


@pytest.mark.parametrize(
    "hosts", ["ftp://x", "a b", "x/y", "x=10.0.0.1/8", "x=no", "x:0", "x:99999", "*", "x@y"]
)
def test_an_entry_that_is_none_is_refused_with_what_would_be(hosts: str) -> None:
    with pytest.raises(InvalidInput, match=r"RIDGEWAY_NOTIFY_HOSTS.*accepted"):
        allowlist(hosts)


@pytest.mark.parametrize(
    "secret", [None, "short", "whsec_", "whsec_c2VjcmV0", "whsec_" + "x" * 200, SECRET[6:]]
)
def test_without_a_good_secret_nobody_can_be_told_and_it_is_not_repeated(
    secret: str | None,
) -> None:
    with pytest.raises(InvalidInput, match="RIDGEWAY_WEBHOOK_SECRET") as refused:
        allowlist("hooks.example", secret)
    assert secret in (None, "whsec_") or secret not in str(refused.value)
    assert refused.value.errors[0].value is None
