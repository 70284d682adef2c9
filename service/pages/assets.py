"""/assets: the style sheet and the scripts of pages, from memory, kept by browsers for good.

Their addresses hold a digest of all of them: another release has other addresses, and a module's
`import "./api.js"` finds the one of its own release.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter, Request, Response

from ridgeway.errors import NotFound
from ridgeway.plots.palette import style_rules
from service.tags import names_tag

FOLDER = Path(__file__).with_name("static")
STYLE = "ridgeway.css"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_GOOD = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Assets:
    """Files by name, and a digest of all of them."""

    files: dict[str, bytes]
    digest: str


@cache
def assets() -> Assets:
    """Read every file once; the colours of penalties are those of the plots."""
    files = {path.name: path.read_bytes() for path in sorted(FOLDER.iterdir())}
    files = {name: data for name, data in files.items() if Path(name).suffix in MEDIA_TYPES}
    files[STYLE] += style_rules().encode()
    digest = blake2b(digest_size=8)
    for name, data in files.items():
        digest.update(name.encode() + data)
    return Assets(files, digest.hexdigest())


def asset_url(name: str) -> str:
    """Return the address of a file that there is."""
    found = assets()
    assert name in found.files, name
    return f"/assets/{found.digest}/{name}"


@router.api_route("/assets/{digest}/{name}", methods=["GET", "HEAD"])
async def asset(digest: str, name: str, request: Request) -> Response:
    """Return a file; to the page of another release, which asks with its digest, ours unkept."""
    found = assets()
    if name not in found.files:
        raise NotFound(f"There is nothing at {request.scope['path'][:200]}.")
    tag = f'"{found.digest}"'
    kept = FOR_GOOD if digest == found.digest else "no-cache"
    headers = {"ETag": tag, "Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    if names_tag(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(found.files[name], headers=headers, media_type=MEDIA_TYPES[Path(name).suffix])
