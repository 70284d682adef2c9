"""/v1/jobs/{id}/events: what happens to a job, as server-sent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from starlette.types import Receive, Scope, Send

from service.access.asking import InCaller
from service.context import InContext, JobId
from service.problems import problems
from service.streams import Stream

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_EVENTS: dict[str, Any] = {
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
    "description": "`progress`, `best`, `warning` and `state` as they change, then `end`",
}


class _Answer(EventSourceResponse):
    """A stream sent until it ends, its reader leaves, or the service stops."""

    def __init__(self, stream: Stream) -> None:
        # nginx would keep events back until it has many.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(stream, headers=headers)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stream.close()


@router.get(
    "/{id}/events",
    response_class=StreamingResponse,
    responses={
        200: _EVENTS,
        204: {"description": "The job has ended, and the reader has seen it"},
        **problems(404),
    },
)
async def events(
    id: JobId,
    context: InContext,
    caller: InCaller,
    last_event_id: Annotated[
        str | None, Header(description="the id of the last event that was seen")
    ] = None,
) -> Response:
    """Tell what happens to a job until it has ended, as server-sent events.

    Their data are JSON: `progress` and `best` as in the job, `warning` with its `text`, `state`
    with `state`, `error`, times and the verdict's sentence, at last `end`. What a reader has missed
    is sent as it stands now. 503 where too many streams are open: look at the job instead.
    """
    stream = await context.streams.open(id, caller, last_event_id)
    return Response(status_code=204) if stream is None else _Answer(stream)
