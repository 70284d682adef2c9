"""Addresses that a job may name are so plain that every reader finds the same host in them."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import ValidationError

from ridgeway.spec.notify import MOST_NOTIFIED
from ridgeway.spec.paths import PathSpec
from ridgeway.spec.spec import JobSpec


def told(*urls: str) -> JobSpec:
    notify = [{"url": url} for url in urls]
    return JobSpec.model_validate({"dataset": "wine", "notify": notify})


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://a",
            "https://",
            "https:///a",
            "//a",
            "a",
            "https://a b",
            "https://a/\n",
            "https://ä",
        ),
        *("https://u@a/", "https://u:p@a/", "https://a#f", "https://a/#f", "https://a\\b"),
        *("https://a/\\b", "https://a:0", "https://a:65536", "https://a:x", "https://[::1]/"),
        *("https://a%2eb/", "https://-a/", "https://a./", "HTTPS://a", "https://a/" + "x" * 2000),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        told(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://a",
        "http://a.b-c.example:65535/p/@x?q=[1]&r=%20",
        "https://127.0.0.1/",
        "https://a?b",
    ],
)
def test_what_is_accepted_names_one_host_to_all(url: str) -> None:
    (each,) = told(url).notify
    assert each.url == url
    assert urlsplit(url).hostname == httpx.URL(url).host
    assert (urlsplit(url).port or None) == httpx.URL(url).port


def test_a_list_has_its_most_and_a_path_has_it_too() -> None:
    assert len(told(*["https://a"] * MOST_NOTIFIED).notify) == MOST_NOTIFIED
    with pytest.raises(ValidationError):
        told(*["https://a"] * (MOST_NOTIFIED + 1))
    body = {"kind": "path", "dataset": "diabetes", "penalty": "l1", "notify": [{"url": "http://a"}]}
    assert [each.url for each in PathSpec.model_validate(body).job_spec().notify] == ["http://a"]


def test_a_spec_that_tells_nobody_is_written_as_earlier_releases_read_it() -> None:
    assert "notify" not in JobSpec(dataset="wine").model_dump(mode="json")
    stored = told("https://a/b").model_dump(mode="json")
    assert stored["notify"] == [{"url": "https://a/b"}]
    assert JobSpec.model_validate(stored) == told("https://a/b")
