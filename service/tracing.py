"""Requests as spans, where the service is traced (ridgeway/traces.py)."""

from __future__ import annotations

from fastapi import FastAPI

from ridgeway import traces

UNTRACED = "/healthz,/readyz,/metrics"  # asked by machines, every few seconds


def trace(app: FastAPI) -> None:
    """Have each request told as a span, by its route, if the process is traced."""
    if not traces.begun():
        return
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor.instrument_app(
        app, excluded_urls=UNTRACED, exclude_spans=["receive", "send"]
    )
