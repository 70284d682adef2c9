"""Routes of pages: what goes wrong is told on a page too, in the words of REST."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from service.pages.environment import page
from service.problems import MEDIA_TYPE


class PageRoute(APIRoute):
    """A route whose errors are pages: the status, title and detail of the problem that REST has."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests, with errors caught around it."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                answer = await _told(request, error)
                if answer.media_type != MEDIA_TYPE:
                    return answer
                return _page_of(request, answer)

        return handled


def page_router() -> APIRouter:
    """Make a router of pages; REST's document does not list them."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)


async def _told(request: Request, error: Exception) -> Response:
    """Return what REST answers to the error; errors that it has no words for go on."""
    handlers = request.app.exception_handlers
    for kind in type(error).__mro__:
        if kind in handlers and kind is not Exception:
            return await handlers[kind](request, error)
    raise error


def _page_of(request: Request, answer: Response) -> Response:
    told = json.loads(bytes(answer.body))
    return page(
        request,
        "error.html.jinja",
        answer.status_code,
        title=told["title"],
        detail=told["detail"],
        errors=told.get("errors", []),
    )
