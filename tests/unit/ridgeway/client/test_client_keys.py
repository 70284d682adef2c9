"""The client's key: sent with every call, shown in nothing; and what a door tells it."""

from __future__ import annotations

import logging
import time

import pytest
from scripted import Answer, scripted

from ridgeway.client.client import Client
from ridgeway.errors import Forbidden, InvalidInput

KEY = "rw_3f9a01bc_" + "s" * 43
EMPTY = Answer(200, {"datasets": [], "next": None})


def refusal(status: int, detail: str, **headers: str) -> Answer:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"status": status, "detail": detail}, "application/problem+json", told)


@pytest.fixture(autouse=True)
def nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIDGEWAY_API_KEY", raising=False)


def test_a_key_is_sent_and_shown_nowhere(caplog, capsys):
    caplog.set_level(logging.DEBUG)
    with scripted(EMPTY) as script, Client(script.url, api_key=f" {KEY}\n") as client:
        client.datasets()
        shown = repr(client) + str(client.__dict__)
    assert script.requests[0].headers["authorization"] == f"Bearer {KEY}"
    told = shown + caplog.text + "".join(capsys.readouterr())
    assert KEY[12:] not in told


@pytest.mark.parametrize("key", ["two words", "a\nb", "schlüssel", "\x00"])
def test_what_no_header_holds_is_refused_without_being_repeated(key):
    with pytest.raises(InvalidInput) as refused:
        Client("http://127.0.0.1:9", api_key=key)
    assert "RIDGEWAY_API_KEY" in str(refused.value)
    assert key not in str(refused.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_door_that_stays_shut_says_why(status):
    told = refusal(status, "This service asks for a key.")
    with (
        scripted(told) as script,
        Client(script.url) as client,
        pytest.raises(Forbidden, match="asks for a key") as refused,
    ):
        client.datasets()
    assert len(script.requests) == 1
    assert ("RIDGEWAY_API_KEY" in str(refused.value)) is (status == 401)


@pytest.mark.parametrize(("told", "least"), [({"Retry_After": "1"}, 1.0), ({}, 0.0)])
def test_who_comes_too_often_comes_again_when_told_to(monkeypatch, told, least):
    monkeypatch.setattr("ridgeway.client.connection.RETRY_SECONDS", (0.01,))
    begun = time.monotonic()
    with (
        scripted(refusal(429, "Too often.", **told), EMPTY) as script,
        Client(script.url) as client,
    ):
        assert client.datasets() == []
    assert len(script.requests) == 2
    assert least <= time.monotonic() - begun < least + 5
