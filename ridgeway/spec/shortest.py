"""The least that has to be said for a job: what a person would write, not every default."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

from ridgeway.errors import InvalidInput
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

MOST_ENTRIES = 100  # of an object that is looked into: larger ones list columns, and all count


def shortest(spec: JobSpec) -> dict[str, Any]:
    """Return the shortest body that `parse_spec` reads as this spec.

    Each entry is left out in turn where what is left still means the same: so a default is left out
    whatever it follows from, as the rates of an optimizer do.
    """
    body: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    _shorten(body, spec, ())
    return body


def _shorten(body: dict[str, Any], spec: JobSpec, path: tuple[str, ...]) -> None:
    """Leave out what can be of the object at this path of the body."""
    for name in [*_at(body, path)]:
        own = (*path, name)
        if _means_the_same(body, spec, own):
            del _at(body, path)[name]
        elif isinstance(value := _at(body, path)[name], Mapping):
            entries = cast("Mapping[str, Any]", value)
            if len(entries) <= MOST_ENTRIES:
                _shorten(body, spec, own)


def _means_the_same(body: dict[str, Any], spec: JobSpec, without: tuple[str, ...]) -> bool:
    tried = deepcopy(body)
    del _at(tried, without[:-1])[without[-1]]
    try:
        return parse_spec(tried) == spec
    except InvalidInput:
        return False


def _at(body: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path:
        body = body[name]
    return body
