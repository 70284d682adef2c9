"""docs/jobs.md and docs/training.md say what the spec does: every field once, with its default."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest

from ridgeway.data.bundled import bundled_profiles
from ridgeway.spec.models import PluginModel
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.strict import Strict
from ridgeway.spec.wording import parse_spec

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / name).read_text() for name in ("jobs.md", "training.md")}
ROW = re.compile(r"^\| `([a-z_.0-9]+)` \| (`.+?`|required) \| .+ \|$", re.MULTILINE)
ROWS = [row for page in PAGES.values() for row in ROW.findall(page)]
EXAMPLES = [
    example for page in PAGES.values() for example in re.findall(r"```json\n(.*?)```", page, re.S)
]


def kinds_of(annotation: Any) -> list[Any]:
    """Return what a field may hold: the members of its union, without their annotations."""
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for member in get_args(annotation) for kind in kinds_of(member)]
    return [annotation]


def is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Strict)


def fields_of(whole: type[Strict]) -> Iterator[tuple[str, type[Strict]]]:
    """Return every field of a spec and the part that has it: `epochs`, `search.lambda`.

    A field that always holds a part is its part's fields. Options of a plug-in's model have no
    names that we know.
    """
    for name, field in whole.model_fields.items():
        kinds = kinds_of(field.annotation)
        if all(map(is_part, kinds)):
            known = [part for part in kinds if part is not PluginModel]
            yield from ((f"{name}.{own}", part) for part in known for own, _ in fields_of(part))
        else:
            yield field.alias or name, whole


FIELDS = dict(reversed([*fields_of(JobSpec)]))  # of several parts with a field, the first one
DEFAULTS = {name: json.loads(shown[1:-1]) for name, shown in ROWS if shown.startswith("`")}


def spec_with(field: str, **given: Any) -> JobSpec:
    """Return a job that gives the fields beside which this one exists, and what is `given`."""
    whole, _, name = field.rpartition(".")
    if not whole:
        return parse_spec({"dataset": "digits", **given})
    kind = FIELDS[field].model_fields.get("kind")
    part: Mapping[str, Any] = {"kind": kind.default} if kind and name != "kind" else {}
    return parse_spec({"dataset": "digits", whole: {**part, **given}})


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_job(example: str) -> None:
    spec = parse_spec(json.loads(example))
    assert resolve_spec(spec, bundled_profiles()[spec.dataset]).task is not None


def test_the_examples_show_both_ways_to_train() -> None:
    optimizers = {parse_spec(json.loads(example)).optimizer for example in EXAMPLES}
    assert optimizers == {"adamw", "exact"}


def test_the_pages_describe_every_field_once_and_no_other() -> None:
    assert sorted(name for name, _ in ROWS) == sorted(FIELDS)


@pytest.mark.parametrize("field", sorted(DEFAULTS))
def test_the_default_on_the_page_is_what_leaving_the_field_out_means(field: str) -> None:
    given = {field.rpartition(".")[2]: DEFAULTS[field]}
    assert spec_with(field, **given) == spec_with(field)


def test_only_required_fields_have_no_default() -> None:
    required = {
        field
        for field, part in FIELDS.items()
        for name, own in part.model_fields.items()
        if (own.alias or name) == field.rpartition(".")[2] and own.is_required()
    }
    assert FIELDS.keys() - DEFAULTS.keys() == required
