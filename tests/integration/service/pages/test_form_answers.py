"""The pages of a new job, of data sets and of workers over HTTP: nothing of a client is HTML."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from pages import NASTY, Seen, seen
from serving import serve
from submitting import submit

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import workers
from ridgeway.fleet import WorkerRecord, mark_gone, record_worker
from ridgeway.jobs import claiming
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.settings import Settings
from ridgeway.spec.names import PENALTY_ROWS
from ridgeway.spec.shortest import shortest
from ridgeway.spec.wording import parse_spec

NAMED = NASTY.strip()
TABLE = f'age,"{NASTY.replace(chr(34), chr(34) * 2)}",constant,id,buys\n' + "".join(
    f"{20 + place if place % 10 else ''},{('<b>a</b>', 'b')[place % 2]},1,u{place},{place % 3}\n"
    for place in range(120)
)


@dataclass(frozen=True)
class Filled:
    """A service, a data set and a worker with nasty names, and a job that names all of them."""

    http: httpx.Client
    database: Database
    dataset: str
    job: str

    def look(self, address: str) -> Seen:
        """Read a page."""
        answer = self.http.get(address)
        assert answer.status_code == 200, answer.text
        return seen(answer.text)


@pytest.fixture(scope="module")
def filled(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder = tmp_path_factory.mktemp("forms")
    shutil.copy(sqlite_template, folder / "ridgeway.db")
    url = f"sqlite:///{folder / 'ridgeway.db'}"
    given: dict[str, Any] = {"data": folder, "database_url": url}
    database, offered = Database(url), frozenset({NAMED})
    with database.transaction() as transaction:
        models = frozenset({"linear", "mlp", NAMED})
        record = WorkerRecord("w", NASTY, 1, NASTY, "0", models, offered, offered)
        record_worker(transaction, record)
    search = {"penalty": ["l1", NAMED]}
    job = submit(database, name=NASTY, model={"kind": NAMED}, search=search, drop=[NAMED])
    with (
        serve(Settings(**given)) as served,
        httpx.Client(base_url=served.url, timeout=60) as http,
    ):
        brought = http.post("/v1/datasets", params={"name": f"a table {NAMED}"}, content=TABLE)
        assert brought.status_code == 201, brought.text
        yield Filled(http, database, brought.json()["id"], job)
    database.close()


def test_no_name_of_a_client_is_html(filled: Filled):
    for address in (
        f"/jobs/new?from={filled.job}",
        f"/jobs/new?dataset={filled.dataset}",
        "/jobs/new?dataset=%3Cscript%3Ealert(3)%3C/script%3E&target=%22%3E%3Cimg%20src=y%3E",
        "/datasets",
        f"/datasets/{filled.dataset}",
        "/workers",
    ):
        answer = filled.http.get(address)
        found = seen(answer.text)
        assert answer.status_code == 200
        assert all(own.get("src") for tag, own in found.elements if tag == "script"), address
        assert not [tag for tag, _ in found.elements if tag in ("img", "b")], address
        assert not [own for _, own in found.elements if any(name[:2] == "on" for name in own)]
        assert "49" not in found.text or "7 * 7" in found.text  # no template is filled in twice
        assert "'unsafe" not in answer.headers["content-security-policy"]


def test_the_target_and_the_task_are_guessed(filled: Filled):
    found = filled.look("/jobs/new?dataset=diabetes")
    (own,) = [own for _, own in found.elements if own.get("id") == "guess"]
    assert (own["data-target"], own["data-task"]) == ("target", "regression")
    columns = {own["value"] for tag, own in found.elements if tag == "option" and "value" in own}
    assert {"bmi", "target"} <= columns


def test_every_penalty_is_offered_with_what_it_does(filled: Filled):
    found = filled.look("/jobs/new")
    boxes = [own for tag, own in found.elements if own.get("type") == "checkbox"]
    offered = {own["value"]: "checked" in own for own in boxes if "value" in own}
    rows = PENALTY_ROWS.values()
    assert {name: offered[name] for name in PENALTY_ROWS} == {
        row.name: row.by_default for row in rows
    }
    assert offered[NAMED] is False
    assert all(row.does in found.text for row in rows)


def test_a_job_to_clone_is_spread_over_the_form(filled: Filled):
    spec = filled.http.get(f"/v1/jobs/{filled.job}").json()["spec"]
    html = filled.http.get(f"/jobs/new?from={filled.job}").text
    values = {own.get("id"): own for tag, own in seen(html).elements if tag == "input"}
    assert values["dataset"]["value"] == "digits"
    assert values["name"]["value"] == NASTY
    assert shortest(parse_spec(spec))["drop"] == [NAMED]


def test_what_is_no_job_can_not_be_cloned(filled: Filled):
    assert filled.http.get("/jobs/new?from=0198").status_code == 404
    answer = filled.http.get("/jobs/new?from=../../etc")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_defaults_of_controls_are_json(filled: Filled):
    found = filled.look("/jobs/new")
    defaults = [own["data-default"] for _, own in found.elements if "data-default" in own]
    assert len(defaults) > 20
    assert [128, 128] in [json.loads(each) for each in defaults]
    described = {
        each for _, own in found.elements for each in own.get("aria-describedby", "").split()
    }
    assert described <= {own["id"] for _, own in found.elements if "id" in own}
    labels = {own["for"] for tag, own in found.elements if tag == "label" and "for" in own}
    named = [own["id"] for tag, own in found.elements if tag in ("select", "textarea")]
    assert set(named) <= labels


def test_a_data_set_says_what_a_job_makes_of_each_column(filled: Filled):
    text = filled.look(f"/datasets/{filled.dataset}").text
    for told in (
        "120 rows of 5 columns",
        "Predicted: 3 classes.",
        "where missing their median",
        "An input for each of 2 values.",
        "A constant: left out.",
        ": left out.",
        "10.0 %",
    ):
        assert told in text, told


def test_what_is_ticked_at_a_data_set_is_in_the_form(filled: Filled):
    found = filled.look(f"/datasets/{filled.dataset}")
    ticked = [
        own["value"] for _, own in found.elements if own.get("name") == "drop" and "checked" in own
    ]
    assert ticked == []  # `id` is left out already, unless a job takes it as something
    query = {"dataset": "wine", "target": "hue", "drop": ["ash", "alcohol"]}
    html = filled.http.get("/jobs/new", params=query).text
    values = {own.get("id"): own.get("value") for tag, own in seen(html).elements if tag == "input"}
    assert (values["dataset"], values["target"]) == ("wine", "hue")
    assert "ash\nalcohol</textarea>" in html


def test_what_a_column_is_taken_as_is_chosen_at_its_data_set(filled: Filled):
    html = filled.http.get(f"/datasets/{filled.dataset}").text
    options = [own["value"] for tag, own in seen(html).elements if tag == "option"]
    chosen = [each for each in options if each]
    assert chosen == ["category:buys", "category:age", "number:constant", "category:constant",
                      "category:id"]  # fmt: skip
    query = {"dataset": filled.dataset, "take": ["", "category:age", "date:a:b", "none"]}
    html = filled.http.get("/jobs/new", params=query).text
    told = html.split('id="more"')[1].split(">", 1)[1].split("</textarea>")[0]
    assert json.loads(unescape(told)) == {"columns": {"age": "category", "a:b": "date"}}


def test_rows_without_a_target_are_left_out_by_the_link_to_the_form(filled: Filled):
    table = "age,buys\n" + "".join(f"{row},{row % 3 if row % 5 else ''}\n" for row in range(60))
    made = filled.http.post("/v1/datasets", params={"name": "gappy"}, content=table)
    assert made.status_code == 201, made.text
    page = filled.look("/datasets/gappy")
    hidden = {
        own["name"]: own["value"]
        for tag, own in page.elements
        if tag == "input" and own.get("type") == "hidden"
    }
    assert hidden == {"dataset": "gappy", "missing_target": "drop"}
    form = filled.look("/jobs/new?dataset=gappy&missing_target=drop")
    assert {"value": "drop", "selected": ""} in [own for _, own in form.elements]
    whole = filled.look(f"/datasets/{filled.dataset}")
    assert "missing_target" not in whole.all("input", "name")


def test_a_list_of_data_sets_counts_the_jobs_of_each(filled: Filled):
    text = " ".join(filled.look("/datasets").text.split())
    assert "digits 1,797 65 labelclassification - Ridgeway 1" in text
    assert "diabetes 442 11 targetregression - Ridgeway 0" in text


def test_workers_are_told_with_what_they_do_and_since_when_they_are_silent(filled: Filled):
    with filled.database.transaction() as transaction:
        models = frozenset({"linear", "mlp"})
        for name in ("busy", "lost"):
            record = WorkerRecord(name, name, 7, "cpu", "0", models, frozenset({"digits"}))
            record_worker(transaction, record)
    job = submit(filled.database, name="in hand", priority=50, trials=30)
    claimant = Claimant("busy", models, frozenset({"digits"}), Sizes(4, 8), 30.0, 3)
    with filled.database.transaction() as transaction:
        assert claiming.claim(transaction, claimant) is not None
        lost = sa.update(workers).where(workers.c.id == "lost")
        transaction.execute(lost.values(seen_at=now() - 600))
    found = filled.look("/workers")
    lines = " ".join(found.text.split())
    assert f"/jobs/{job}" in found.all("a", "href")
    assert "busy process 7" in lines
    assert "10 min ago" in lines
    assert "others take over its trials" in lines
    assert f"{NAMED}, {NAMED}, {NAMED}" in lines  # plug-ins


def test_without_a_worker_the_page_says_how_to_start_one(filled: Filled):
    with filled.database.transaction() as transaction:
        mark_gone(transaction)
    found = filled.look("/workers")
    assert "No worker is alive" in found.text
    assert "ridgeway worker" in found.text


def test_a_data_set_that_is_not_there_is_a_page_that_says_so(filled: Filled):
    answer = filled.http.get("/datasets/nothing%20like%20it")
    assert answer.status_code == 404
    assert "There is no data set" in answer.text
