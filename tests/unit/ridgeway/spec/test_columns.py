"""What a job takes columns as: told at upload, or by the job."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ridgeway.data.csv_files import read_csv
from ridgeway.data.judging import judged_profile
from ridgeway.data.tables import profile_table
from ridgeway.errors import InvalidInput
from ridgeway.spec.columns import left_out
from ridgeway.spec.profiles import DatasetProfile
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec

ROWS = 60
LINES = [
    f"{row + 1};{1 + row % 28}.{1 + row % 12}.2024;2024-05-{10 + row % 9};0{row % 5};n{row};"
    f"{row % 4};{row * 3 % 7}"
    for row in range(ROWS)
]
TABLE = read_csv(io.BytesIO("\n".join(["id;when;day;zip;name;size;y", *LINES]).encode()), 999, 99)
PROFILE = judged_profile(TABLE)
# As an earlier release wrote it: a name, what is stored, and counts.
EARLIER = DatasetProfile.model_validate(
    profile_table(TABLE).model_dump(exclude={"header": True, "warnings": True, "columns": {
        "__all__": {"stored", "made", "format", "possible", "unlike", "warnings"}}})
)  # fmt: skip
# The fields of jobs before `columns`, `missing_target` and `notify`, beside which any is refused.
KNOWN_BEFORE = {
    "kind", "name", "dataset", "target", "groups", "weights", "drop", "task", "loss", "model",
    "optimizer", "schedule", "warmup_epochs", "clip_norm", "search", "strengths", "penalize",
    "penalty_factors", "feature_groups", "bounds", "group_by", "hierarchy", "l1_method",
    "class_weights", "label_smoothing", "input_noise", "sampler", "pruner", "objective",
    "objectives", "warm_start", "rule", "at_most", "refit", "validation", "test_fraction",
    "trials", "stop", "epochs", "early_stopping", "batch_size", "precision", "seed",
    "timeout_seconds", "priority",
}  # fmt: skip
LINEAR = {"dataset": "d", "model": {"kind": "linear"}, "task": "regression"}


def resolved(profile: DatasetProfile = PROFILE, **fields: Any) -> JobSpec:
    return resolve_spec(parse_spec({**LINEAR, **fields}), profile)


def test_what_was_told_stands_in_the_spec() -> None:
    spec = resolved()
    told = {"id": "identifier", "when": "date_day_first", "day": "date", "name": "identifier"}
    assert spec.columns == told
    assert spec.apart == {"id", "name"}
    assert resolve_spec(spec, PROFILE) == spec
    (sentence,) = left_out(spec)
    assert "`id` (an identifier), `name` (an identifier)" in sentence


def test_the_job_has_the_last_word() -> None:
    kinds = {"id": "number", "when": "date", "zip": "number", "name": "category", "size": "drop"}
    spec = resolved(columns={**kinds, "day": "text"})
    assert spec.columns == {**kinds, "when": "date_day_first", "day": "drop"}
    assert spec.apart == {"size", "day"}
    assert left_out(spec) == []
    assert resolve_spec(spec, PROFILE) == spec


def test_an_earlier_releases_profile_is_taken_as_it_was() -> None:
    spec = resolved(EARLIER, drop=["name", "when"])
    assert spec.columns == {}
    assert spec.apart == {"name", "when"}
    assert resolved(EARLIER, drop=["name", "when"], columns={"day": "date"}).columns == {
        "day": "date"
    }
    with pytest.raises(InvalidInput, match="60 different texts in 60 rows: an identifier"):
        resolved(EARLIER, drop=["when"])
    with pytest.raises(InvalidInput, match="texts that are not known to be numbers"):
        resolved(EARLIER, columns={"zip": "number"}, drop=["name", "when"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"name": "number"}, "column 'name' holds 'n0', which is no number; accepted: category"),
        ({"name": "date"}, "column 'name' holds 'n0', which is no such date"),
        ({"size": "date"}, "holds numbers, which are no dates; accepted: number, category, drop"),
        ({"when": "date_month_first"}, "holds dates like 31/05/2024; accepted: date_day_first"),
        ({"when": "number"}, "holds '1.1.2024', which is no number"),
        ({"none": "number"}, "columns.none: no such column; columns: id, when"),
        ({"y": "category"}, "columns.y: is the target; `task` says"),
        ({"size": "town"}, "columns.size"),
    ],
)
def test_what_can_not_be_is_refused_by_column_and_value(columns: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolved(columns=columns)
    assert said in str(refused.value)


def test_a_worker_of_an_earlier_release_reads_a_job_that_says_nothing_new() -> None:
    data = io.BytesIO(b"x,k,y\n" + b"1.5,a,2\n2.5,b,4\n4,a,7\n" * 9)
    profile = judged_profile(read_csv(data, 99, 9))
    stored = resolved(profile).model_dump(mode="json")
    assert {*stored} == KNOWN_BEFORE
    assert JobSpec.model_validate(stored) == resolved(profile)
    more = resolved(profile, columns={"k": "drop"}, missing_target="drop").model_dump(mode="json")
    assert {*more} - {*stored} == {"columns", "missing_target"}


def test_a_category_has_only_so_many_levels() -> None:
    lines = "\n".join(f"{row * 3 % 1201}.5,{row % 5}" for row in range(1201))
    profile = judged_profile(read_csv(io.BytesIO(f"x,y\n{lines}".encode()), 9999, 9))
    with pytest.raises(InvalidInput, match="1,201 different values, and a category at most 1,000"):
        resolved(profile, columns={"x": "category"})


def test_fields_by_column_know_what_is_left_out_and_what_is_a_number() -> None:
    with pytest.raises(InvalidInput, match=r"penalty_factors\.id: is no input"):
        resolved(penalty_factors={"id": 2.0})
    assert resolved(bounds={"when": "nonnegative"}, search={"penalty": ["l1"]}).bounds
    with pytest.raises(InvalidInput, match=r"bounds\.size: holds categories"):
        resolved(bounds={"size": "nonnegative"}, columns={"size": "category"},
                 search={"penalty": ["l1"]})  # fmt: skip


def test_rows_are_ordered_by_dates_of_any_order() -> None:
    spec = resolved(validation={"kind": "forward", "folds": 2, "by": "when"})
    assert spec.columns["when"] == "date_day_first"
    assert "when" in spec.apart
