"""An OpenAPI document as people read it: calls by subject, their fields, and the shapes of JSON.

reference = read(app.openapi())
reference.subjects[0].calls[0].path  # "/v1/jobs"
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "maxLength": "at most {} characters",
}
MOST_CHOICES = 12  # names that are listed of an enumeration


@dataclass(frozen=True)
class Piece:
    """A part of a type in words; `shape` names the shape that it leads to."""

    text: str
    shape: str = ""


@dataclass(frozen=True)
class Field:
    """A parameter or a field: its type, what stands where it is left out, what it is."""

    name: str
    kind: Sequence[Piece]
    required: bool
    default: str
    note: str


@dataclass(frozen=True)
class Outcome:
    """An answer that a call may give."""

    status: str
    note: str
    kind: Sequence[Piece]


@dataclass(frozen=True)
class Call:
    """One method of one path."""

    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[Field]
    body: Sequence[Piece]
    body_types: Sequence[str]
    outcomes: Sequence[Outcome]

    @property
    def anchor(self) -> str:
        """Return the name of its place on the page."""
        return f"{self.method}{self.path}".lower().translate(_PLAIN)


@dataclass(frozen=True)
class Subject:
    """Calls of one tag."""

    name: str
    calls: Sequence[Call]


@dataclass(frozen=True)
class Shape:
    """A named JSON object, or what else has a name."""

    name: str
    note: str
    fields: Sequence[Field]
    kind: Sequence[Piece]


@dataclass(frozen=True)
class Reference:
    """All of a document."""

    title: str
    release: str
    description: str
    subjects: Sequence[Subject]
    shapes: Sequence[Shape]


_PLAIN = str.maketrans({"/": "-", "{": "", "}": ""})


def read(document: Schema) -> Reference:
    """Read a document."""
    calls: dict[str, list[Call]] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["other"])[0]
                calls.setdefault(tag, []).append(_call(method, path, item[method]))
    schemas: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})
    info = document["info"]
    return Reference(
        title=info["title"],
        release=info["version"],
        description=info.get("description", ""),
        subjects=[Subject(tag, found) for tag, found in calls.items()],
        shapes=[_shape(name, schemas[name]) for name in sorted(schemas)],
    )


def _call(method: str, path: str, item: Schema) -> Call:
    told: str = item.get("description", "")
    first, _, rest = told.partition("\n\n")
    content: Schema = item.get("requestBody", {}).get("content", {})
    return Call(
        method=method.upper(),
        path=path,
        summary=first or item.get("summary", ""),
        description=rest,
        parameters=[
            _field(f"{own['name']}", own["schema"], own.get("required", False), own)
            for own in item.get("parameters", ())
        ],
        body=_kind_in(content),
        body_types=list(content),
        outcomes=[_outcome(status, own) for status, own in item.get("responses", {}).items()],
    )


def _kind_in(content: Schema) -> list[Piece]:
    """Return the type of the first kind of content that there is."""
    for own in content.values():
        return kind_of(own.get("schema", {}))
    return []


def _outcome(status: str, told: Schema) -> Outcome:
    content: Schema = told.get("content", {})
    kind = _kind_in(content)
    note = told.get("description", "")
    if note == "Successful Response" and status.isdecimal():
        note = HTTPStatus(int(status)).phrase
    return Outcome(status, note, kind)


def _shape(name: str, schema: Schema) -> Shape:
    required = schema.get("required", ())
    fields = [
        _field(field, own, field in required, own)
        for field, own in schema.get("properties", {}).items()
    ]
    return Shape(name, schema.get("description", ""), fields, [] if fields else kind_of(schema))


def _field(name: str, schema: Schema, required: bool, told: Schema) -> Field:
    default = json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else ""
    note = told.get("description", "") or schema.get("description", "")
    return Field(name, kind_of(schema), required, default, note)


def kind_of(schema: Schema) -> list[Piece]:
    """Return a schema's type in words, a piece for each shape that it names."""
    return list(_kind_of(schema))


def _kind_of(schema: Schema) -> Iterator[Piece]:
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield Piece(name, name)
    elif alternatives:
        for place, own in enumerate(alternatives):
            yield from [Piece(" or ")] if place else []
            yield from _kind_of(own)
    elif "enum" in schema:
        names = [json.dumps(own, ensure_ascii=False) for own in schema["enum"]]
        more = " …" if len(names) > MOST_CHOICES else ""
        yield Piece(" | ".join(names[:MOST_CHOICES]) + more)
    elif "const" in schema:
        yield Piece(json.dumps(schema["const"], ensure_ascii=False))
    elif schema.get("type") == "array":
        yield Piece("list of ")
        yield from _kind_of(schema.get("items", {}))
    elif isinstance(schema.get("additionalProperties"), dict):
        yield Piece("object of ")
        yield from _kind_of(schema["additionalProperties"])
    else:
        yield Piece(_plain(schema))


def _plain(schema: Schema) -> str:
    kind = schema.get("type", "any JSON")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    limits = [words_.format(schema[name]) for name, words_ in LIMITS.items() if name in schema]
    return ", ".join([words, *limits])
