"""docs/training.md says what the spec does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ridgeway.data.bundled import bundled_profiles
from ridgeway.spec.profiles import resolve_spec
from ridgeway.spec.spec import JobSpec, MlpModel, Search, parse_spec

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
ROWS = dict(re.findall(r"^\| `([a-z_.]+)` \| `(.+?)` \| .+ \|$", PAGE, re.MULTILINE))
PARTS = {"": JobSpec, "model": MlpModel, "search": Search}


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_job(example: str) -> None:
    spec = parse_spec(json.loads(example))
    assert resolve_spec(spec, bundled_profiles()[spec.dataset]).task is not None


def test_the_page_has_an_example_of_both_ways_to_train() -> None:
    assert {json.loads(example)["optimizer"] for example in EXAMPLES} == {"adamw", "fista"}


@pytest.mark.parametrize("field", sorted(ROWS))
def test_the_page_gives_the_default(field: str) -> None:
    part, _, name = field.rpartition(".")
    assert json.loads(ROWS[field]) == PARTS[part].model_fields[name].default


def test_the_page_describes_every_field_of_training() -> None:
    elsewhere = {"name", "dataset", "target", "groups", "task", "model", "search", "penalize"}
    elsewhere |= {
        "group_by",
        "l1_method",
        "sampler",
        "pruner",
        "objective",
        "objectives",
        "validation",
        "warm_start",
    }
    elsewhere |= {"test_fraction", "trials", "epochs", "batch_size", "seed"}
    elsewhere |= {"timeout_seconds", "priority"}
    penalties = {"penalty", "strength", "l1_ratio", "learning_rate", "weight_decay"}
    searched = {f"search.{name}" for name in Search.model_fields.keys() - penalties}
    fields = (JobSpec.model_fields.keys() - elsewhere) | searched | {"model.dropout"}
    assert set(ROWS) == fields
