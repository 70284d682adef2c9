"""Parts of files are sent as they are: Content-Range counts the file's own bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import FileResponse
from starlette.routing import Route

from service.compression import LEAST_BYTES, Compression

TEXT = bytes(ord("a") + place % 26 for place in range(5 * LEAST_BYTES))


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        (None, 200, TEXT),
        (f"bytes=7-{4 * LEAST_BYTES}", 206, TEXT[7 : 4 * LEAST_BYTES + 1]),
        (f"bytes=-{3 * LEAST_BYTES}", 206, TEXT[-3 * LEAST_BYTES :]),
    ],
)
def test_a_whole_file_is_compressed_and_a_part_is_not(
    tmp_path: Path, asked: str | None, status: int, body: bytes
):
    (tmp_path / "file.txt").write_bytes(TEXT)
    answer = FileResponse(tmp_path / "file.txt")
    app = Starlette(routes=[Route("/", lambda _: answer)], middleware=[Middleware(Compression)])

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            headers = {"Accept-Encoding": "gzip"} | ({"Range": asked} if asked else {})
            return await client.get("/", headers=headers)

    told = asyncio.run(get())
    assert (told.status_code, told.content) == (status, body)
    assert ("content-encoding" in told.headers) is (asked is None)
    if asked is not None:
        assert int(told.headers["content-length"]) == len(body)
