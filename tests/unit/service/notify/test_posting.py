"""A POST reaches the address that was checked, and nothing else can be made of it."""

from __future__ import annotations

import asyncio
import time
from ipaddress import ip_network

import pytest
from receivers import Receiver, receive

from service.notify import posting
from service.notify.allowlist import Allowed
from service.notify.posting import NotTold, post

LOOPBACK = ip_network("127.0.0.0/8")


class Names:
    """A resolver that tells the next of these addresses each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self._answers.pop(0)


def hook(receiver: Receiver, names: Names, allowed: Allowed | None = None) -> int:
    url = f"http://hooks.example:{receiver.port}/a/b?c=d"
    entry = allowed or Allowed("http", "hooks.example", receiver.port, LOOPBACK)
    return asyncio.run(post(url, entry, '{"x": 1}', {"webhook-id": "1"}, names))


def test_it_goes_to_the_address_that_was_checked_under_the_name_that_was_asked_for() -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    with receive() as receiver:
        assert hook(receiver, names) == 204
        ((path, headers, body),) = receiver.told
    assert names.asked == 1
    assert (path, body) == ("/a/b?c=d", b'{"x": 1}')
    assert headers["Host"] == f"hooks.example:{receiver.port}"
    assert headers["webhook-id"] == "1"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("found", [["127.0.0.1"], ["93.184.215.14", "127.0.0.1"], []])
def test_a_public_host_that_leads_inside_is_not_asked(found: list[str]) -> None:
    with receive() as receiver:
        public = Allowed("http", "hooks.example", receiver.port)
        with pytest.raises(NotTold, match="no address that may be asked"):
            hook(receiver, Names(found), public)
        assert receiver.told == []


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with receive() as inside, receive(307) as receiver:
        receiver.headers["Location"] = inside.url
        assert hook(receiver, Names(["127.0.0.1"])) == 307
        assert inside.told == []


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receive() as proxy, receive() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert hook(receiver, Names(["127.0.0.1"])) == 204
        assert proxy.told == []


def test_a_receiver_that_is_silent_or_never_ends_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting, "POST_SECONDS", 0.3)
    with receive() as receiver:
        receiver.endless = True
        begun = time.monotonic()
        assert hook(receiver, Names(["127.0.0.1"])) == 204
        receiver.endless, receiver.silent_seconds = False, 1.0
        with pytest.raises(NotTold, match=r"did not answer within 0\.3 s"):
            hook(receiver, Names(["127.0.0.1"]))
    assert time.monotonic() - begun < 5


def test_what_speaks_no_tls_is_not_told_over_https() -> None:
    with receive() as receiver:
        entry = Allowed("https", "hooks.example", receiver.port, LOOPBACK)
        with pytest.raises(NotTold, match="ConnectError"):
            hook(receiver, Names(["127.0.0.1"]), entry)
        assert receiver.told == []


def test_where_nobody_listens_nobody_is_told() -> None:
    with receive() as receiver:
        pass
    with pytest.raises(NotTold, match="ConnectError"):
        hook(receiver, Names(["127.0.0.1"]))
