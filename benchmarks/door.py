"""What the door costs a look at a job: processor time of `GET /v1/jobs/{id}`, open and by key.

python benchmarks/door.py

The application is called without a network. Beside the key that asks there are 200 others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.keys.caller import Limits
from ridgeway.keys.keys import Wanted, create_key
from ridgeway.settings import Settings
from service.app import create_app

OTHERS = 200
LOOKS = 500
ROUNDS = 5


def main() -> None:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        database = Database.of(settings)
        migrate(database)
        with database.transaction() as transaction:
            plain = create_key(transaction, Wanted("plain", "submit"))[1]
            often = Limits(requests_per_minute=10**6)
            rated = create_key(transaction, Wanted("rated", "submit", limits=often))[1]
            for _ in range(OTHERS):
                create_key(transaction, Wanted("another", "read"))
        database.close()
        closed = settings.model_copy(update={"require_keys": True})
        cases = (
            ("open", settings, plain),
            ("by key", closed, plain),
            ("by key with a rate", closed, rated),
        )
        for name, each, key in cases:
            print(f"{name:20} {asyncio.run(_microseconds(create_app(each), key)):6.0f} us")


async def _microseconds(app: FastAPI, key: str) -> float:
    """Return the median of the rounds' processor time for one look."""
    async with app.router.lifespan_context(app):
        made = await _call(app, key, "POST", "/v1/jobs", b'{"dataset": "wine"}')
        path = f"/v1/jobs/{json.loads(made[1]['body'])['id']}"
        spent = []
        for _ in range(ROUNDS):
            begun = time.process_time()
            for _ in range(LOOKS):
                answer = await _call(app, key, "GET", path)
            spent.append((time.process_time() - begun) / LOOKS * 1e6)
            assert answer[0]["status"] == 200
    return statistics.median(spent)


async def _call(
    app: FastAPI, key: str, method: str, path: str, body: bytes = b""
) -> list[dict[str, Any]]:
    headers = {"host": "127.0.0.1", "authorization": f"Bearer {key}"}
    headers["content-type"] = "application/json"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


if __name__ == "__main__":
    main()
