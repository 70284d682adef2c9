"""Traces: nothing where nobody asks, spans at the collector where somebody does."""

from __future__ import annotations

import os
import subprocess
import sys

from receivers import receive

LOGGING = "import logging; logging.basicConfig(format='%(message)s')\n"
TRACED = """
from ridgeway.traces import begin, begun, span
begin("ridgeway-worker")
with span("population", job="j-1", lease=7):
    with span("train"):
        pass
print(begun(), any(name.split(".")[0] == "opentelemetry" for name in sys.modules))
"""
SERVED = """
from fastapi import FastAPI
from ridgeway.traces import begin
from service.tracing import trace
begin("ridgeway-service")
app = FastAPI()
app.get("/v1/jobs/{id}")(lambda id: id)
app.get("/healthz")(lambda: 1)
trace(app)
import asyncio, httpx
async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        await http.get("/v1/jobs/7")
        await http.get("/healthz")
asyncio.run(ask())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a new process: one process has one tracer."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    argv = [sys.executable, "-c", f"import sys\n{LOGGING}{code}"]
    env = {**kept, **environment}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)


def test_where_nobody_asks_nothing_is_loaded() -> None:
    assert run(TRACED).stdout.split() == ["False", "False"]


def test_spans_reach_the_collector_that_the_environment_names() -> None:
    with receive(200) as collector:
        assert run(TRACED, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url).stdout.split()[0] == "True"
        ((path, _, body),) = collector.told
    assert path == "/v1/traces"
    for told in (b"ridgeway-worker", b"population", b"train", b"ridgeway.job", b"j-1"):
        assert told in body


def test_a_request_is_told_by_its_route_and_what_machines_ask_is_not() -> None:
    with receive(200) as collector:
        run(SERVED, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        bodies = b"".join(body for _, _, body in collector.told)
    assert b"/v1/jobs/{id}" in bodies
    assert b"ridgeway-service" in bodies
    assert b"healthz" not in bodies


def test_asked_for_without_its_packages_it_warns_once_and_goes_on() -> None:
    lacking = "sys.modules['opentelemetry.sdk.resources'] = None\n"
    done = run(lacking + TRACED, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert done.stdout.split()[0] == "False"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is traced")
    assert warning.endswith("pip install 'ridgeway[otel]'")
