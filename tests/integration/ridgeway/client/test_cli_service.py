"""The client and the command line with the real service, on both databases."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from serving import Served

from ridgeway.cli import main
from ridgeway.client import connection as client_module
from ridgeway.client.client import Client
from ridgeway.errors import Conflict, InvalidInput, NotFound


@pytest.fixture
def client(served: Served):
    with Client(served.url) as client:
        yield client


def ridgeway(served: Served, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--url", served.url], input=given)


def test_a_job_is_submitted_looked_at_paused_resumed_and_cancelled(served: Served) -> None:
    submitted = ridgeway(served, "submit", "-", given='{"dataset": "wine", "trials": 3}')
    assert submitted.exit_code == 0
    id = submitted.stdout.strip()
    assert submitted.stderr.endswith(f"ridgeway status {id} --url {served.url}\n")
    assert json.loads(ridgeway(served, "status", id, "--json").stdout)["state"] == "queued"
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        assert ridgeway(served, verb, id).stdout == f"{state}\n"
    again = ridgeway(served, "cancel", id)
    assert again.exit_code == 2
    assert "Can't cancel a job that is cancelled" in again.stderr
    watched = ridgeway(served, "status", id, "--watch")
    assert watched.exit_code == 1
    assert "was cancelled" in watched.stderr


def test_a_bad_spec_is_refused_field_by_field(served: Served) -> None:
    spec = '{"dataset": "wine", "trials": 0, "search": {"lambda": {"low": -1, "high": 1}}}'
    refused = ridgeway(served, "submit", "-", given=spec)
    assert refused.exit_code == 2
    assert "  trials = 0: " in refused.stderr
    assert "should be greater than or equal to 1\n" in refused.stderr
    assert "  search.lambda.low = -1" in refused.stderr


def test_an_unknown_id_is_bad_input(served: Served) -> None:
    unknown = ridgeway(served, "status", "0198f2c1-0000-7000-8000-000000000000")
    assert unknown.exit_code == 2
    assert "There is no job" in unknown.stderr


def test_a_file_becomes_a_data_set_that_jobs_can_name(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "spam.csv"
    rows = [f"{i},{i * i % 7},{'spam' if i % 2 else 'ham'}" for i in range(60)]
    file.write_text("\n".join(["length,links,kind", *rows]) + "\n")
    added = ridgeway(served, "datasets", "add", str(file), "--name", "mail", "--json")
    assert added.exit_code == 0, added.stderr
    assert json.loads(added.stdout)["rows"] == 60
    listed = json.loads(ridgeway(served, "datasets", "list", "--json").stdout)
    assert {"mail", "digits", "breast_cancer", "wine", "diabetes"} <= {d["name"] for d in listed}
    shown = ridgeway(served, "datasets", "show", "mail")
    assert re.search(r"^ *links +number +0 +4 +0 to 4\.00 +a number", shown.stdout, re.MULTILINE)
    described = json.loads(ridgeway(served, "datasets", "show", "mail", "--json").stdout)
    assert [column["name"] for column in described["columns"]] == ["length", "links", "kind"]
    submitted = ridgeway(served, "submit", "-", given='{"dataset": "mail", "trials": 3}')
    assert submitted.exit_code == 0, submitted.stderr


def test_a_broken_file_is_bad_input(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "broken.csv"
    file.write_text("a,b\n1,2\n3\n")
    broken = ridgeway(served, "datasets", "add", str(file), "--name", "broken")
    assert broken.exit_code == 2
    assert "  file: row 3 has 1 value" in broken.stderr


def test_one_key_makes_one_job(client: Client) -> None:
    first = client.submit(dataset="wine", idempotency_key="once")
    assert client.submit(dataset="wine", idempotency_key="once").id == first.id
    assert client.submit(dataset="wine").id != first.id
    with pytest.raises(InvalidInput, match="another spec"):
        client.submit(dataset="digits", idempotency_key="once")


def test_every_job_is_listed_newest_first_over_pages(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE", 2)
    ids = [client.submit(dataset="wine").id for _ in range(5)]
    client.cancel(ids[0])
    assert [job.id for job in client.jobs()] == ids[::-1]
    assert [job.id for job in client.jobs(state="cancelled")] == ids[:1]


def test_a_job_without_trials_has_neither_trial_nor_model(client: Client) -> None:
    job = client.submit(dataset="wine")
    assert list(client.trials(job, order="value")) == []
    with pytest.raises(NotFound, match="no trial 0"):
        client.trial(job, 0)
    with pytest.raises(NotFound):
        client.model(job)
    with pytest.raises(NotFound):
        client.path(job)
    with pytest.raises(NotFound):
        client.features(job)
    with pytest.raises(NotFound):
        client.shown(job)
    with pytest.raises(Conflict):
        client.resume(job)


def test_a_service_without_workers_is_not_ready(client: Client) -> None:
    assert client.ready() is False
