"""The least that has to be said for a job: what a person would write, not every default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ridgeway.errors import InvalidInput
from ridgeway.spec.models import PluginModel
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

# By column, so that each may be as large as a data set is wide. No other field's default hangs on
# them: they are kept as they are, and not read again with every field that may be left out.
BY_COLUMN = ("drop", "columns", "penalty_factors", "feature_groups", "bounds")


def shortest(spec: JobSpec) -> dict[str, Any]:
    """Return the shortest body that `parse_spec` reads as this spec.

    Each entry is left out in turn where what is left still means the same: so a default is left out
    whatever it follows from, as the rates of an optimizer do.
    """
    whole: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    small = _small(spec)
    body: dict[str, Any] = small.model_dump(mode="json", by_alias=True)
    body = _shortened({name: body[name] for name in body if name not in BY_COLUMN}, small, ())
    body |= {name: whole[name] for name in BY_COLUMN if whole.get(name)}
    if isinstance(spec.model, PluginModel):
        body["model"] = whole["model"]
    return {name: body[name] for name in whole if name in body}


def _small(spec: JobSpec) -> JobSpec:
    """Return the spec without what is said by column, and without a plug-in's options."""
    update: dict[str, Any] = {name: JobSpec.model_fields[name].default for name in BY_COLUMN}
    if isinstance(spec.model, PluginModel):
        update["model"] = PluginModel(kind=spec.model.kind)
    return spec.model_copy(update=update)


def _shortened(body: dict[str, Any], spec: JobSpec, path: tuple[str, ...]) -> dict[str, Any]:
    """Return the body without what can be left out of the object at this path."""
    for name, value in _at(body, path).items():
        own = (*path, name)
        tried = _without(body, own)
        if _means(tried, spec):
            body = tried
        elif isinstance(value, Mapping):
            body = _shortened(body, spec, own)
    return body


def _means(body: dict[str, Any], spec: JobSpec) -> bool:
    try:
        return parse_spec(body) == spec
    except InvalidInput:
        return False


def _at(body: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    for name in path:
        body = cast("dict[str, Any]", body[name])
    return body


def _without(body: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """Return the body without the entry at this path; what lies beside the path is shared."""
    name, *rest = path
    if rest:
        return {**body, name: _without(body[name], rest)}
    return {other: value for other, value in body.items() if other != name}
