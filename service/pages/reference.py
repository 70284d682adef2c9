"""/docs: every call and field, made of the service's own OpenAPI document; no script, no CDN."""

from __future__ import annotations

from fastapi import Request, Response

from service.pages.environment import page
from service.pages.openapi import read
from service.pages.routing import page_router

router = page_router()


@router.get("/docs")
def reference(request: Request) -> Response:
    """Show the reference."""
    host = str(request.base_url).rstrip("/")
    return page(request, "reference.html.jinja", reference=read(request.app.openapi()), host=host)
