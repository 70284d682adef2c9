"""`ridgeway serve`: one data folder, one service, its workers, under one supervisor."""

from __future__ import annotations

import errno
import http.client
import json
import logging
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ridgeway.errors import Conflict, InvalidInput
from ridgeway.host.keys import require_key, require_keys_database
from ridgeway.host.locks import locked_database, locked_folder
from ridgeway.host.private import keep_private
from ridgeway.host.pulse import GRACE_SECONDS, Patience
from ridgeway.host.roles import Count, require_installed, service_role, worker_roles
from ridgeway.host.supervisor import UPKEEP, Supervisor
from ridgeway.settings import Settings

PATIENCE_SECONDS = 3.0  # for a port that a service which is just ending still holds
SLOW_SECONDS = 30.0  # after which a start that is not ready yet is told to be slow

log = logging.getLogger("ridgeway.serve")


@dataclass(frozen=True)
class Address:
    """Where a service listens. Port 0 is any free one; insecure: it asks nobody for a key."""

    host: str
    port: int
    insecure: bool = False


def serve(data: Path, address: Address, workers: Count, announce: Callable[[str], None]) -> int:
    """Serve until a signal; `announce` is called once with the URL when jobs would be worked on.

    While it is ready DATA/serve.json holds its URL and process id. Raises Conflict where another
    serve has the folder or the database, or somebody the port, and NoKey where nobody could enter.
    """
    require_installed("service", "workers")
    keep_private()
    environment = {"RIDGEWAY_DATA": str(data.absolute())}
    if address.insecure:
        environment["RIDGEWAY_REQUIRE_KEYS"] = "false"
    host, port = address.host, address.port
    settings = _settings(data, address)
    require_keys_database(settings)
    with locked_folder(data), locked_database(settings.resolved_database_url()):
        state = data / "serve.json"
        state.unlink(missing_ok=True)
        port = _checked_port(host, port)
        url = _url(host, port)
        if code := _prepare(environment) or require_key(settings):
            return code
        roles = [service_role(host, port), *worker_roles("auto", workers, yielding=True)]
        try:
            waits = [_Watch(url, state, announce), _Recheck(environment)]

            def watch() -> bool:
                waits[:] = [each for each in waits if each()]
                return bool(waits)

            return Supervisor(roles, environment, watch, Patience.of(settings)).run()
        finally:
            state.unlink(missing_ok=True)


def _settings(data: Path, address: Address) -> Settings:
    settings = Settings(data=data, host=address.host)
    return settings.model_copy(update={"require_keys": False}) if address.insecure else settings


def _checked_port(host: str, port: int) -> int:
    """Return a free port; Conflict where it is taken, InvalidInput for an address not ours."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return _try_port(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                message = f"can't be listened on, port {port}: {error.strerror}"
                raise InvalidInput.of("--host", host, message) from None
            if time.monotonic() > deadline:
                raise Conflict(
                    f"Port {port} on {host} is taken. Choose another with --port (0: any free one)."
                ) from None
        time.sleep(0.1)


def _try_port(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with closing(socket.socket(family, kind, protocol)) as probe:
        # As the service will: connections of a former one that linger are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return int(probe.getsockname()[1])


def _url(host: str, port: int) -> str:
    """Return the URL by which a browser on this machine finds what listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # nosec B104 # reads
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _prepare(environment: Mapping[str, str]) -> int:
    """Migrate, take dead workers' leases back; the exit code, its reason is on standard error."""
    return _start_preparing(environment).wait()


def _start_preparing(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*UPKEEP, "prepare"], env={**os.environ, **environment})


class _Watch:
    """Asks the service whether it is ready until it says yes."""

    def __init__(self, url: str, state: Path, announce: Callable[[str], None]) -> None:
        self._url = url
        self._state = state
        self._announce = announce
        self._slow_at: float | None = time.monotonic() + SLOW_SECONDS

    def __call__(self) -> bool:
        """Ask whether the service is ready; return True to be called again."""
        if _ready(self._url):
            content = json.dumps({"url": self._url, "pid": os.getpid()})
            partial = self._state.with_suffix(".partial")
            partial.write_text(content)
            partial.replace(self._state)
            self._announce(self._url)
            return False
        if self._slow_at is not None and time.monotonic() > self._slow_at:
            self._slow_at = None
            log.warning("Not ready after %g s; still trying.", SLOW_SECONDS)
        return True


class _Recheck:
    """Takes leases back once more, when workers that a killed supervisor left must have ended.

    One that hangs outlives it by the grace period, and so its lease the first look.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._due_at = time.monotonic() + GRACE_SECONDS + 1.0
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> bool:
        """Do it when it is due; return True to be called again."""
        if self._process is None and time.monotonic() > self._due_at:
            self._process = _start_preparing(self._environment)
        return self._process is None or self._process.poll() is None


def _ready(url: str) -> bool:
    place = urlsplit(url)
    # Not httpx: a supervisor stays small.
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=1.0)
    with closing(connection):
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
