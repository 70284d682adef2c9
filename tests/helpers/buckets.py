"""S3 on the loopback interface: moto's server, which can be stopped, counted and made strict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import httpx
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

KEYS = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "whatever"}


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class S3Server:
    """moto's server in a thread; `requests` are those it has answered, as `GET /bucket/key`."""

    requests: list[str] = field(default_factory=list)
    port: int = 0
    cuts: bool = False  # whether answers to GET break off midway
    _server: BaseWSGIServer | None = None
    _denied: str | None = None
    _app: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which programs find the server."""
        return {
            **KEYS,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def start(self) -> None:
        """Answer, at the port of before."""
        self._server = make_server(
            "127.0.0.1", self.port, self._answer, threaded=True, request_handler=_Quiet
        )
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and forget nothing."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuse connections in the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def denying(self, part: str) -> Iterator[None]:
        """Let nobody at paths that hold this, in the block."""
        self._denied = part
        try:
            yield
        finally:
            self._denied = None

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if self._denied is not None and self._denied in environ["PATH_INFO"]:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("403 Forbidden", [("Content-Type", "application/xml")])
            told = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [told]
        answer = self._app(environ, start)
        if not self.cuts or environ["REQUEST_METHOD"] != "GET":
            return answer
        whole = b"".join(answer)
        return [whole[: len(whole) // 2]]

    @cached_property
    def s3(self) -> Any:
        """boto3's client of the server, which is another program's view of it."""
        return self._client("s3")

    @cached_property
    def iam(self) -> Any:
        """boto3's client of who may do what."""
        return self._client("iam")

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Ask for true credentials in the block."""
        httpx.post(f"{self.url}/moto-api/reset-auth", content="0").raise_for_status()
        try:
            yield
        finally:
            httpx.post(f"{self.url}/moto-api/reset-auth", content="inf").raise_for_status()
