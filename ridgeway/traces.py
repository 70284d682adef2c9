"""Traces by OpenTelemetry, where the environment says where they go; else nothing is imported.

OTEL_EXPORTER_OTLP_ENDPOINT and its kin are OpenTelemetry's own variables. A process begins once,
and what it does is then told in spans:

    begin("ridgeway-worker")
    with span("train", job=lease.job_id):
        train(...)
"""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = logging.getLogger("ridgeway.traces")

_tracer: Any = None


def begin(name: str) -> None:
    """Trace this process under a name, if that is asked for; warn if the packages lack."""
    global _tracer
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    asked = next((each for each in ENDPOINTS if os.environ.get(each)), None)
    if asked is None or disabled or _tracer is not None:
        return
    try:
        _tracer = _begun(name)
    except ImportError as error:
        log.warning(
            "%s is set, and nothing is traced: %s. pip install 'ridgeway[otel]'", asked, error
        )


def begun() -> bool:
    """Return True where this process is traced."""
    return _tracer is not None


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """Have what runs inside told as one span; without tracing it costs a microsecond."""
    if _tracer is None:
        return nullcontext()
    told = {f"ridgeway.{key}": value for key, value in attributes.items()}
    return _tracer.start_as_current_span(name, attributes=told)


def _begun(name: str) -> Any:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": name}
    provider = TracerProvider(resource=Resource.create(own))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # at the process's end it sends what is left
    return provider.get_tracer("ridgeway")
