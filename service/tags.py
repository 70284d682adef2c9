"""Entity tags: an answer that its reader has already is not sent again (RFC 9110, section 13).

    if (same := not_modified(if_none_match, tag)) is not None:
        return same
    return Response(body, headers=told_of(tag))

Answers may be kept by their reader alone, who asks each time whether they still hold.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from fastapi import Response
from pydantic import BaseModel

TAGGED: dict[str, Any] = {
    "ETag": {"description": "the same tag, the same answer", "schema": {"type": "string"}}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "It is as it was when it had that tag", "headers": TAGGED}
}


def tag_of(told: bytes | str) -> str:
    """Return the tag of these bytes, or of whatever decides what is answered."""
    data = told.encode() if isinstance(told, str) else told
    return f'"{blake2b(data, digest_size=16).hexdigest()}"'


def names_tag(if_none_match: str, tag: str) -> bool:
    """Return True if the header names the entity tag (RFC 9110, section 13.1.2)."""
    named = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in (tag, "*") for each in named)


def told_of(tag: str) -> dict[str, str]:
    """Return the headers of an answer with that tag."""
    return {"ETag": tag, "Cache-Control": "private, no-cache"}


def not_modified(if_none_match: str | None, tag: str) -> Response | None:
    """Return the answer to a reader who has what the tag is of; None to any other."""
    if if_none_match is None or not names_tag(if_none_match, tag):
        return None
    return Response(status_code=304, headers=told_of(tag))


def tagged(view: BaseModel, if_none_match: str | None) -> Response:
    """Answer with a view as JSON, tagged by its bytes: for what has to be read anyway."""
    body = view.model_dump_json(by_alias=True).encode()
    tag = tag_of(body)
    same = not_modified(if_none_match, tag)
    return same or Response(body, headers=told_of(tag), media_type="application/json")
