"""Only requests to a name of the service are answered: no page can rebind its own name to it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ridgeway.settings import Settings


@pytest.fixture
def service_settings(sqlite_template: Path, tmp_path: Path) -> Settings:
    """No request here comes as far as the database."""
    url: Any = f"sqlite:///{sqlite_template}"
    return Settings(data=tmp_path, database_url=url, hosts="ridgeway.example, Proxy.internal")


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/jobs", "/dashboard", "/openapi.json"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"],
)
def test_a_strange_name_is_a_421_that_says_what_would_accept_it(http, path, host):
    answer = http.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Misdirected Request"
    assert repr(host.partition(":")[0]) in answer.json()["detail"]
    assert "RIDGEWAY_HOSTS" in answer.json()["detail"]


def test_a_page_that_rebinds_its_name_can_submit_nothing(http):
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    answer = http.post("/v1/jobs", json={"dataset": "digits"}, headers=headers)
    assert answer.status_code == 421
    assert http.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8000",
        "localhost.",
        "127.0.0.1",
        "127.8.9.10:80",
        "[::1]:8000",
        "192.0.2.7",
        "[2001:db8::7]:8000",
        "ridgeway.example:443",
        "proxy.internal",
        socket.gethostname(),
    ],
)
def test_the_services_own_names_and_any_address_are_accepted(http, host):
    assert http.get("/healthz", headers={"Host": host}).status_code == 200


def test_the_name_that_it_listens_on_is_accepted(service_settings):
    from service.hosts import own_names

    assert "search.lan" in own_names(service_settings.model_copy(update={"host": "Search.lan"}))


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.0\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: \r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: [\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost:http\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    ],
)
def test_a_request_that_names_no_host_is_a_400(served, head):
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(65536).split(b"\r\n")[0].startswith(b"HTTP/1.1 400 ")


def test_a_refused_upload_gets_its_answer_while_it_is_still_sending(served):
    with httpx.Client(base_url=served.url) as http:
        answer = http.post(
            "/v1/datasets?name=a", content=b"1,2\n" * 2**20, headers={"Host": "evil.example"}
        )
    assert answer.status_code == 421


@pytest.mark.parametrize("hosts", ["http://a.example", "a.example:80", "a b", "*", "*.example"])
def test_a_setting_that_is_no_list_of_names_is_refused(hosts):
    with pytest.raises(ValueError, match="is no host name; accepted"):
        Settings(hosts=hosts)
