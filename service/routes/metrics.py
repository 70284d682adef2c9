"""/metrics: what Prometheus reads (docs/watching.md)."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.context import InContext

router = APIRouter(tags=["health"])


@router.get("/metrics", include_in_schema=False)
def metrics(context: InContext) -> Response:
    """Answer in Prometheus's text format."""
    return Response(context.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
