"""A real HTTP server that answers from a list, for what a healthy service never does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from ridgeway.answers import Baseline, Chosen, Recommended, SealedScores
from ridgeway.spec.wording import parse_spec
from ridgeway.views import Best, Job, Links, Progress

BEGIN = datetime(2026, 11, 22, 20, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What it is told; None for `body` hangs up without a word."""

    status: int
    body: Any
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """The answers to give, one a request (the last for ever), and the requests that came."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


@contextmanager
def scripted(*answers: Answer) -> Iterator[Script]:
    """A server on a free port of the loopback interface."""
    script = Script(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            script.requests.append(Request(self.command, self.path, headers, body))
            answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if answer.body is None:
                self.close_connection = True
                return
            content = (
                answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            )
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield script
        server.shutdown()
        thread.join()


def problem(status: int, detail: str, **members: Any) -> Answer:
    """RFC 9457."""
    body = {"type": "about:blank", "title": "", "status": status, "detail": detail, **members}
    return Answer(status, body, "application/problem+json")


def make_job(**changes: Any) -> Job:
    """A job in the middle of its search."""
    job = Job(
        id="0198f2c1-0000-7000-8000-000000000001",
        name="wine, which penalty?",
        state="running",
        study="0198f2c1-0000-7000-8000-000000000001",
        spec=parse_spec({"dataset": "wine", "trials": 40}),
        progress=Progress(
            trials=40, complete=17, pruned=2, failed=1, running=8, fraction=0.5, eta_seconds=75.0
        ),
        best=Best(
            number=17,
            value=0.0412,
            standard_error=0.003,
            params={"penalty": "l2", "lambda": 2e-5, "learning_rate": 0.01, "weight_decay": 1e-4},
            nonzero_weights=25856,
            weights=25856,
        ),
        recommended=None,
        error=None,
        warnings=[],
        created_at=BEGIN,
        started_at=BEGIN,
        finished_at=None,
        links=Links(
            self="/v1/jobs/1", trials="/v1/jobs/1/trials", dashboard="/dashboard/studies/7"
        ),
    )
    return job.model_copy(update=changes)


def make_answered_job(**changes: Any) -> Job:
    """A job that has succeeded, with its answer."""
    common = {"weights": 25856, "standard_error": 0.003}
    simplest = Chosen(
        number=9,
        value=0.0431,
        params={"penalty": "l1", "lambda": 0.00213, "learning_rate": 0.01, "weight_decay": 0.0},
        nonzero_weights=811.6,
        refit_nonzero_weights=812,
        selected_features=11,
        **common,
    )
    best = Chosen(
        number=17,
        value=0.0412,
        params={"penalty": "l2", "lambda": 2e-5, "learning_rate": 0.01, "weight_decay": 1e-4},
        nonzero_weights=25856,
        refit_nonzero_weights=25856,
        selected_features=13,
        **common,
    )
    none = best.model_copy(update={"number": 3, "value": 0.0523, "params": {"penalty": "none"}})
    test = SealedScores(
        evaluations=1,
        metric="accuracy",
        rows=36,
        simplest=0.972,
        best=0.944,
        none=0.917,
        baseline=0.389,
        loss={"simplest": 0.0801, "best": 0.0902, "none": 0.111, "baseline": 1.09},
    )
    recommended = Recommended(
        simplest=simplest, best=best, none=none, baseline=Baseline(value=1.09), test=test
    )
    progress = Progress(
        trials=40, complete=39, pruned=0, failed=1, running=0, fraction=1.0, eta_seconds=0.0
    )
    answer = {
        "state": "succeeded",
        "progress": progress,
        "recommended": recommended,
        "finished_at": BEGIN + timedelta(seconds=10),
    }
    return make_job(**answer | changes)
