"""Client.events: a job's events as they come, through what befalls service and connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from submitting import submit

from ridgeway.client import events
from ridgeway.client.client import Client
from ridgeway.client.events import JobEvent
from ridgeway.errors import NotFound, Unreachable
from ridgeway.jobs.lifecycle import cancel_job, pause_job
from service import streams

END = (
    b'event: state\ndata: {"state":\ndata: "failed"}\nid: b\n\n'
    b'event: end\ndata: {"state":"failed"}\nid: c\n\n'
)


def test_a_client_is_told_what_happens_until_the_end(http, database, monkeypatch):
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.02)
    job_id = submit(database)
    seen: list[JobEvent] = []
    with Client(str(http.base_url)) as client:
        for event in client.events(job_id):
            seen.append(event)
            if event.data.get("state") == "queued":
                with database.transaction() as transaction:
                    pause_job(transaction, job_id)
            elif event.data.get("state") == "paused":
                with database.transaction() as transaction:
                    cancel_job(transaction, job_id)
        states = [event.data["state"] for event in seen if event.kind in ("state", "end")]
        assert states == ["queued", "paused", "cancelled", "cancelled"]
        assert (seen[0].kind, seen[-1].kind) == ("progress", "end")
        with pytest.raises(NotFound):
            next(client.events("0198f2c1-0000-7000-8000-000000000000"))


@pytest.fixture
def broken() -> Iterator[tuple[str, list[str]]]:
    """A service whose first streams break off; what its client said it had seen."""
    asked: list[str] = []
    pieces = [
        b": hello\nretry: 9\n\nevent: progress\ndata: {}\nid: a\n\nevent: best\ndata: {",
        b"",
        b"event: of a later release\ndata: x\n\n" + END,
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Last-Event-ID", ""))
            piece = pieces[min(len(asked), len(pieces)) - 1]
            self.send_response(200 if piece else 503)
            cut_off = 0 if piece.endswith(b"\n\n") or not piece else 1
            self.send_header("Content-Length", str(len(piece) + cut_off))
            self.end_headers()
            self.wfile.write(piece)

        def log_message(self, format: str, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_it_goes_on_where_a_connection_broke_off(broken, monkeypatch):
    url, asked = broken
    monkeypatch.setattr(events, "PAUSE_SECONDS", 0.01)
    with Client(url) as client:
        told = list(client.events("0198f2c1-0000-7000-8000-000000000000"))
    assert [event.kind for event in told] == ["progress", "state", "end"]
    assert told[1].data == {"state": "failed"}
    assert asked == ["", "a", "a"]


def test_a_service_that_stays_away_is_told(broken, monkeypatch):
    url, _ = broken
    monkeypatch.setattr(events, "AWAY_SECONDS", -1.0)
    with Client(url) as client, pytest.raises(Unreachable):
        list(client.events("0198f2c1-0000-7000-8000-000000000000"))
