"""The OpenAPI document says what the service does: no more, no less."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from service_processes import running

from ridgeway.data.catalogue import check_name
from ridgeway.data.listing import OFFERED_FIRST
from ridgeway.database.tables import workers
from ridgeway.errors import InvalidInput
from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.jobs.lookups import NEWEST_FIRST, TRIAL_ORDERS
from ridgeway.settings import Settings
from ridgeway.spec.spec import JobSpec
from service.app import create_app

REPOSITORY = Path(__file__).parents[3]
DOCUMENT: dict[str, Any] = create_app(Settings()).openapi()
SCHEMAS = {"components": {"schemas": DOCUMENT["components"]["schemas"]}}
SPEC = jsonschema_rs.validator_for(SCHEMAS["components"]["schemas"]["JobSpec"] | SCHEMAS)


# --- a running service, asked everything ------------------------------------------------------


def test_schemathesis_finds_nothing_in_a_running_service(database, database_url, tmp_path):
    """Every check and phase; CONTRIBUTING.md has the command for a longer search."""
    record = WorkerRecord("w", "here", 1, "cpu", "0", frozenset({"linear"}), frozenset())
    with database.transaction() as transaction:
        record_worker(transaction, record)
        # /readyz is to find a worker for as long as this takes.
        transaction.execute(sa.update(workers).values(seen_at=4e9))
    command = [str(Path(sys.executable).with_name("schemathesis"))]
    command += ["--config-file", str(REPOSITORY / "schemathesis.toml"), "run", "--checks", "all"]
    command += ["--max-examples", "3", "--generation-deterministic", "--no-color"]
    with running(database_url, tmp_path) as service:
        command += [f"{service.http.base_url}/openapi.json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    operations = sum(len(path) for path in DOCUMENT["paths"].values())
    endless = sum(path.endswith("/events") for path in DOCUMENT["paths"])
    assert f"Tested: {operations - endless}" in done.stdout


# --- the document and the checks at the door --------------------------------------------------


def refused(body: Any) -> set[tuple[str, bool]]:
    """Return why a spec is refused: the kinds of errors, and whether of a plug-in's model."""
    try:
        JobSpec.model_validate(body)
    except ValidationError as error:
        return {(each["type"], "@plugin" in each["loc"]) for each in error.errors()}
    return set()


# JSON Schema compares no two fields, and the document tells of a plug-in's options in words.
BEYOND = {("empty_range", False), *((kind, True) for kind in ("nul", "depth", "many_values"))}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 200).map(float)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.sampled_from(["auto", "l1", "loss", "nonzero_weights", "linear", "mlp", "lab", "\x00"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "low", "high", "log", "folds", "job", "study"]) | st.text(),
            inner,
            max_size=3,
        )
    ),
    max_leaves=4,
)


@st.composite
def nearly_specs(draw: st.DrawFn) -> Any:
    """Draw a whole spec of which one value, at any depth, is something else."""
    spec: Any = JobSpec(dataset="digits").model_dump(mode="json")
    spec["objectives"] = ["loss", "nonzero_weights"]
    spec["warm_start"] = draw(st.sampled_from([{"job": "a"}, {"study": "b", "job": None}]))
    spec["model"] = draw(st.sampled_from([spec["model"], {"kind": "linear"}, {"kind": "lab"}]))
    place = spec
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not place[key] or not isinstance(place[key], dict | list) or draw(st.booleans()):
            place[key] = draw(VALUES)
            return spec
        place = place[key]


POST_JOB = schemathesis.openapi.from_dict(DOCUMENT)["/v1/jobs"]["POST"]


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(body=nearly_specs() | POST_JOB.as_strategy().map(lambda case: case.body))
def test_a_spec_fits_the_document_where_the_service_reads_it(body):
    body = json.loads(json.dumps(body))
    why = refused(body)
    if not why or why - BEYOND:
        assert SPEC.is_valid(body) is (not why), (why, body)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"model": {"kind": "linear"}}, True),
        ({"model": {}}, True),
        ({"model": {"kind": "lab", "depth": 3}}, True),
        ({"model": {"kind": "linear", "depth": 3}}, False),
        ({"model": {"kind": "mlp", "hidden": [64.0]}}, True),
        ({"trials": 20.0}, True),
        ({"trials": 20.5}, False),
        ({"trials": True}, False),
        ({"validation": {}}, True),
        ({"validation": {"fraction": 0.5}}, False),
        ({"validation": {"repeats": 3}}, True),
        ({"validation": {"kind": "forward", "by": "t"}}, True),
        ({"validation": {"kind": "forward"}}, False),
        ({"validation": {"kind": "holdout", "repeats": 3}}, False),
        ({"objectives": ["r2", "nonzero_weights"]}, True),
        ({"objectives": ["nonzero_weights"]}, False),
        ({"objectives": ["r2", "loss"]}, False),
        ({"search": {"penalty": "l1"}}, True),
        ({"search": {"penalty": ["l1", "l1"]}}, False),
        ({"search": {"lambda": {"low": 0.0, "high": 1.0}}}, True),
        ({"search": {"lambda": {"low": 0.0, "high": 1.0, "log": True}}}, False),
        ({"search": {"lambda": [1, 1e7]}}, False),
        ({"warm_start": {"job": "a", "study": "b"}}, False),
        ({"strengths": [None, False]}, False),
        ({"bounds": {"x": [0, 0]}}, False),
        ({"bounds": {"x": [None, 1]}, "model": {"kind": "linear"}}, True),
        ({"loss": {"kind": "huber", "delta": 0}}, False),
    ],
)
def test_document_and_service_agree_on(fields, fits):
    body = {"dataset": "digits", **fields}
    assert (SPEC.is_valid(body), refused(body) == set()) == (fits, fits)


def test_a_spec_of_whole_floats_is_the_same_job_as_one_of_integers():
    assert JobSpec(dataset="d", trials=20.0) == JobSpec(dataset="d", trials=20)  # type: ignore[arg-type]


NAME = jsonschema_rs.validator_for(
    DOCUMENT["paths"]["/v1/datasets"]["post"]["parameters"][0]["schema"]
)


@settings(max_examples=500)
@given(
    name=st.text(max_size=5)
    | st.text("x \n", max_size=205)
    | st.uuids().map(str)
    | st.uuids().map(lambda made: made.hex.upper())
    | st.sampled_from(["digits", "wine", " wine", "a\n", "\u2003a", "\x85", "\x1f", "\ufeff"])
)
def test_a_name_fits_the_document_where_an_upload_may_have_it(name):
    try:
        check_name(name)
    except InvalidInput:
        assert not NAME.is_valid(name)
    else:
        assert NAME.is_valid(name)


def test_every_cursor_of_the_declared_form_is_a_place_to_begin_from(http):
    trials = http.post("/v1/jobs", json={"dataset": "digits"}).json()["links"]["trials"]
    lists = [("/v1/jobs", {}, NEWEST_FIRST), ("/v1/datasets", {}, OFFERED_FIRST)]
    lists += [(trials, {"order": order}, keys) for order, keys in TRIAL_ORDERS.items()]
    cursors = st.tuples(*(st.from_regex(keys.pattern, fullmatch=True) for _, _, keys in lists))

    @settings(max_examples=25)
    @given(cursors=cursors)
    def are_places(cursors: tuple[str, ...]) -> None:
        for (address, parameters, _), cursor in zip(lists, cursors, strict=True):
            answer = http.get(address, params={**parameters, "cursor": cursor})
            assert answer.status_code == 200, (address, cursor, answer.text)

    are_places()
