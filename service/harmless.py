"""What every answer tells browsers, whoever wrote it: it is what it says, and runs nothing."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "Content-Security-Policy"
UNFRAMED = "frame-ancestors 'none'"
NOTHING = f"default-src 'none'; {UNFRAMED}"


class Harmless:
    """ASGI middleware: an answer without a Content-Security-Policy gets one that lets nothing in.

    Pages bring policies of their own; the dashboard's error pages, JSON and CSV do not. Nothing is
    shown in another page's frame, and no browser guesses that data are HTML.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_told(message: Message) -> None:
            # A 304's headers take the place of those that came with what the browser has kept.
            if message["type"] == "http.response.start" and message["status"] != 304:
                headers = MutableHeaders(raw=message["headers"])
                policy = headers.get(POLICY, NOTHING)
                headers[POLICY] = policy if "frame-ancestors" in policy else f"{policy}; {UNFRAMED}"
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self.app(scope, receive, send_told)
