"""Trials as CSV and JSON Lines, over HTTP, by the client and on the command line."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner
from optuna.distributions import CategoricalDistribution, FloatDistribution

from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.errors import NotFound
from ridgeway.jobs import claiming, exports, holding, lifecycle, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.spec.wording import parse_spec
from ridgeway.study import writing
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome

CLAIMANT = Claimant("worker-1", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 8), 30.0, 3)
SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
}


@pytest.fixture
def job_id(database) -> str:
    """A job with one population of two trials, one of them failed."""
    with database.transaction() as transaction:
        spec = parse_spec({"dataset": "digits", "trials": 20})
        made = lifecycle.submit_job(transaction, spec)
        lease = claiming.claim(transaction, CLAIMANT)
        assert lease is not None
        params = [{"penalty": "l1", "lambda": 0.5}, {"penalty": "none"}]
        holding.reserve(transaction, lease, params, SPACE)
        outcomes = [
            Outcome(0, 0.25, [0.5, 0.25], TrialFacts(nonzero_weights=3.5, weights=5)),
            Outcome(1, None, reason='diverged, "at once"\nin epoch 1'),
        ]
        holding.finish_population(transaction, lease, outcomes)
    return made


def test_the_client_reads_every_trial_as_csv_and_as_json(served, job_id):
    with Client(served.url) as client:
        rows = list(csv.DictReader(io.StringIO("".join(client.export(job_id, "csv")), newline="")))
        lines = "".join(client.export(job_id, "jsonl")).splitlines()
        listed = [trial.model_dump(mode="json") for trial in client.trials(job_id)]
        with pytest.raises(NotFound, match="There is no job"):
            list(client.export("0" * 8, "csv"))
    assert [json.loads(line) for line in lines] == listed
    assert [row["number"] for row in rows] == ["0", "1"]
    assert (rows[0]["penalty"], rows[0]["lambda"], rows[0]["value"]) == ("l1", "0.5", "0.25")
    assert (rows[1]["penalty"], rows[1]["lambda"], rows[1]["value"]) == ("none", "", "")
    assert rows[1]["reason"] == 'diverged, "at once"\nin epoch 1'


def test_the_command_line_lists_and_exports_trials(served, job_id):
    run = CliRunner()
    table = run.invoke(main, ["trials", job_id, "--url", served.url])
    assert table.exit_code == 0
    assert "L1   λ 0.500" in table.output
    lines = run.invoke(main, ["trials", job_id, "--jsonl", "--url", served.url]).output
    assert [json.loads(line)["state"] for line in lines.splitlines()] == ["complete", "fail"]
    front = run.invoke(main, ["front", job_id, "--json", "--url", served.url])
    assert json.loads(front.output)["trials"] == [
        {"number": 0, "values": [0.25], "params": {"penalty": "l1", "lambda": 0.5}}
    ]


def test_a_study_of_many_pages_is_exported_whole(database, monkeypatch):
    monkeypatch.setattr(exports, "PAGE", 7)
    with database.transaction() as transaction:
        job_id = lifecycle.submit_job(transaction, parse_spec({"dataset": "digits"}))
        study_id = lookups.study_of(transaction, job_id)
        writing.reserve_trials(transaction, study_id, [{"lambda": 0.5}] * 50, SPACE)
    lines = "".join(exports.exported(database, job_id, "jsonl")).splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(50))
