"""The REST calls of the service as Markdown, made from its OpenAPI document.

`docs/conf.py` appends them to docs/site/rest.md when the site is built.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ridgeway.settings import Settings
from service.app import create_app
from service.pages.openapi import Call, Field, Piece, Reference, Shape, read


def rest_page() -> str:
    """Return every call by its subject, and every shape of JSON."""
    return "\n".join(_lines(read(create_app(Settings()).openapi())))


def _lines(reference: Reference) -> Iterator[str]:
    for subject in reference.subjects:
        yield f"\n## {subject.name.capitalize()}\n"
        for call in subject.calls:
            yield from _call(call)
    yield "\n## Shapes of JSON\n"
    for shape in reference.shapes:
        yield from _shape(shape)


def _call(call: Call) -> Iterator[str]:
    yield f"\n### {call.method} `{call.path}`\n"
    yield f"{call.summary}\n\n{call.description}\n"
    if call.body:
        yield f"Body: {_kind(call.body)} ({', '.join(call.body_types)})\n"
    if call.parameters:
        yield from _table("parameter", call.parameters)
    yield "| status | means | holds |\n|---|---|---|"
    for own in sorted(call.outcomes, key=lambda outcome: outcome.status):
        yield f"| {own.status} | {_cell(own.note)} | {_kind(own.kind)} |"


def _shape(shape: Shape) -> Iterator[str]:
    yield f"\n(shape-{shape.name})=\n### {shape.name}\n\n{shape.note}\n"
    if shape.fields:
        yield from _table("field", shape.fields)
    else:
        yield f"{_kind(shape.kind)}\n"


def _table(name: str, fields: Sequence[Field]) -> Iterator[str]:
    yield f"| {name} | is | if left out | which is |\n|---|---|---|---|"
    for own in fields:
        default = f"`{_cell(own.default)}`" if own.default else ""
        absent = "required" if own.required else default
        yield f"| `{own.name}` | {_kind(own.kind)} | {absent} | {_cell(own.note)} |"
    yield ""


def _kind(pieces: Sequence[Piece]) -> str:
    """Return a type in words, each shape a link to where it is described."""
    return "".join(
        f"[{own.text}](#shape-{own.shape})" if own.shape else _escaped(own.text) for own in pieces
    )


def _cell(text: str) -> str:
    """Return a text as a cell of a table may have it: in one line."""
    return _escaped(" ".join(text.split()))


def _escaped(text: str) -> str:
    """Return a text whose bars and stars mean nothing in Markdown."""
    return text.replace("|", "\\|").replace("*", "\\*")
