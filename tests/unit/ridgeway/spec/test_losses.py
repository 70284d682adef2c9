"""A loss is named for a regression alone, and refused at the door where it has no meaning."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ridgeway.data.tables import canonical_table, profile_table
from ridgeway.errors import InvalidInput
from ridgeway.spec.losses import objective_label
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

ROWS = [*range(100)]


def checked(target: list[Any], **fields: Any) -> JobSpec:
    table = pa.table({"x": ROWS, "y": target})
    spec = parse_spec({"dataset": "d", **fields})
    check_spec(spec)
    return resolve_spec(spec, profile_table(canonical_table(table)))


def test_a_bare_name_is_the_loss_with_its_defaults_and_makes_small_counts_numbers() -> None:
    counts = [row % 4 for row in ROWS]
    assert checked(counts).task == "classification"
    spec = checked(counts, loss="poisson")
    assert (spec.task, spec.loss_name) == ("regression", "poisson")
    assert checked(counts, loss="huber") == checked(counts, loss={"kind": "huber", "delta": 1.35})
    median = {"kind": "quantile", "quantile": 0.5}
    assert checked(counts, loss="quantile") == checked(counts, loss=median)
    assert parse_spec(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"loss": "logistic"}, "loss", "poisson"),
        ({"loss": {"kind": "huber", "delta": 0}}, "loss.delta", "greater than or equal to 0.0001"),
        ({"loss": {"kind": "quantile", "quantile": 0}}, "loss.quantile", "0.0001"),
        ({"loss": {"kind": "quantile", "quantile": 1}}, "loss.quantile", "0.9999"),
        ({"loss": {"kind": "quantile", "quantile": "half"}}, "loss.quantile", "number"),
        ({"loss": {"kind": "poisson", "delta": 1}}, "loss.delta", "unknown"),
        ({"loss": "huber", "task": "classification"}, "loss", "accepted: null"),
        ({"loss": "poisson"}, "loss", "the least of 'y' is -50"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked([row - 50 for row in ROWS], **fields)
    told = {error.field: error.message for error in refused.value.errors}
    assert words in told[field]


def test_people_read_which_loss_it_is() -> None:
    assert objective_label("loss", "poisson") == "Poisson deviance"
    assert objective_label("r2", "poisson") == "R²"
    assert objective_label("loss", None) == "loss"
