"""An OpenAPI document read for people: types in words."""

from __future__ import annotations

from typing import Any

import pytest

from service.pages.openapi import kind_of, read


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer, ≥ 1, ≤ 9"),
        ({"type": "number", "exclusiveMinimum": 0}, "number, > 0"),
        ({"enum": ["a", 1]}, '"a" | 1'),
        ({"const": None}, "null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, "list of Job"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"type": ["string", "null"]}, "string or null"),
        ({}, "any JSON"),
    ],
)
def test_a_type_is_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert "".join(piece.text for piece in kind_of(schema)) == words


def test_a_reference_leads_to_its_shape() -> None:
    (piece,) = kind_of({"$ref": "#/components/schemas/Job"})
    assert piece.shape == "Job"


def test_a_document_is_read_by_subjects() -> None:
    document = {
        "info": {"title": "Ours", "version": "1"},
        "paths": {
            "/v1/jobs/{id}": {
                "get": {
                    "tags": ["jobs"],
                    "description": "Look.\n\nOnce more.",
                    "parameters": [{"name": "id", "required": True, "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "Successful Response"}},
                }
            },
            "/healthz": {"get": {"summary": "Alive"}},
        },
    }
    jobs, other = read(document).subjects
    (call,) = jobs.calls
    assert (jobs.name, other.name) == ("jobs", "other")
    assert (call.method, call.summary, call.description) == ("GET", "Look.", "Once more.")
    assert call.anchor == "get-v1-jobs-id"
    assert call.parameters[0].required
    assert call.outcomes[0].note == "OK"
