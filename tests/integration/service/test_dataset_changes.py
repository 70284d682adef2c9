"""GET, PATCH and DELETE of /v1/datasets/{id}: preview, use by jobs, another name, gone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import sqlalchemy as sa
from serving import Served
from simulated import recommended

from ridgeway.data.catalogue import dataset_by_id, ingest
from ridgeway.database.engine import Database
from ridgeway.database.tables import datasets
from ridgeway.errors import InvalidInput, NotFound
from ridgeway.jobs.datasets import delete_dataset, rename_dataset
from ridgeway.jobs.deletion import delete_job
from ridgeway.jobs.leftovers import Leftovers
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.jobs.reporting import read_material
from ridgeway.jobs.rows import update_job
from ridgeway.keys.caller import Caller
from ridgeway.spec.wording import parse_spec

CSV = b"a.b,a,label\n" + b"".join(
    b"%d,%s,%d\n" % (i, b"<b>x" if i else b"", i % 2) for i in range(60)
)


Bring: TypeAlias = Callable[..., dict[str, Any]]


@pytest.fixture
def bring(served: Served, http: httpx.Client, tmp_path: Path) -> Bring:
    """Bring a data set as the service does, without a process for each."""
    assert http.get("/healthz").is_success  # it has begun
    context = served.app.state.context
    (tmp_path / "file").write_bytes(CSV)

    def brought(name: str = "mine") -> dict[str, Any]:
        given = (context.writers.database, context.store, context.settings)
        return ingest(*given, tmp_path / "file", name).model_dump(mode="json")

    return brought


def queue(http: httpx.Client, dataset: str) -> str:
    answer = http.post("/v1/jobs", json={"dataset": dataset, "name": "a <job>"})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def succeed(database: Database, job_id: str) -> None:
    """As if the job had been answered."""
    answer = recommended().model_dump(mode="json")
    with database.transaction() as transaction:
        update_job(transaction, job_id, state="succeeded", recommended=answer)


def test_the_first_rows_are_shown_as_jobs_read_them(http, bring):
    bring()
    assert http.get("/v1/datasets/mine").json()["preview"] is None
    preview = http.get("/v1/datasets/mine?rows=3").json()["preview"]
    assert preview["columns"] == ["a.b", "a", "label"]
    assert preview["rows"] == [[0.0, None, 0.0], [1.0, "<b>x", 1.0], [2.0, "<b>x", 0.0]]
    assert len(http.get("/v1/datasets/mine?rows=100").json()["preview"]["rows"]) == 60
    digits = http.get("/v1/datasets/digits?rows=2").json()
    assert digits["preview"]["columns"] == [each["name"] for each in digits["columns"]]
    assert [len(row) for row in digits["preview"]["rows"]] == [65, 65]
    for rows in ("101", "-1", "x"):
        refused = http.get(f"/v1/datasets/mine?rows={rows}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rows")


def test_rows_that_are_gone_from_the_store_are_told(http, served, bring):
    dataset = bring()
    store = served.app.state.context.store
    for entry in store.entries("datasets"):
        store.delete(entry.key)
    answer = http.get(f"/v1/datasets/{dataset['id']}?rows=1")
    assert (answer.status_code, "are gone" in answer.json()["detail"]) == (409, True)
    assert http.get(f"/v1/datasets/{dataset['id']}").status_code == 200


def test_a_data_set_tells_which_jobs_use_it(http, bring):
    dataset = bring()
    ids = [queue(http, name) for name in ("mine", dataset["id"], "digits")]
    found = http.get("/v1/datasets/mine").json()
    assert (found["job_count"], [each["id"] for each in found["jobs"]]) == (2, ids[1::-1])
    assert found["jobs"][0] == {"id": ids[1], "name": "a <job>", "state": "queued"}
    assert http.get("/v1/datasets/digits").json()["job_count"] == 1


def test_a_renamed_data_set_is_found_by_its_new_name_and_its_jobs_go_on(http, database, bring):
    dataset = bring()
    job_id = queue(http, "mine")
    tag = http.get("/v1/datasets/mine").headers["etag"]
    answer = http.patch("/v1/datasets/mine", json={"name": "ours / 2"})
    assert (answer.status_code, answer.json()["name"]) == (200, "ours / 2")
    assert answer.json()["jobs"][0]["id"] == job_id
    assert http.get("/v1/datasets/mine").status_code == 404
    found = http.get("/v1/datasets/ours%20%2F%202", headers={"If-None-Match": tag})
    assert (found.status_code, found.json()["id"]) == (200, dataset["id"])
    other = bring()  # the old name is free
    assert other["id"] != dataset["id"]
    # A path beside the job is of its own data, whoever has the name by now.
    succeed(database, job_id)
    path = http.post(f"/v1/jobs/{job_id}/path", json={"penalty": "none"})
    assert path.status_code == 422
    assert [each["id"] for each in http.get("/v1/datasets/mine").json()["jobs"]] == []


def test_a_clone_is_of_the_same_data_whatever_they_are_called_by_now(http, bring):
    def cloned(job_id: str) -> str | None:
        html = http.get(f"/jobs/new?from={job_id}").text
        (control,) = re.findall(r'<input id="dataset" value="([^"]*)"', html)
        return control

    bring()
    job_id = queue(http, "mine")
    assert cloned(job_id) == "mine"
    assert http.patch("/v1/datasets/mine", json={"name": "ours"}).is_success
    bring()
    assert cloned(job_id) == "ours"
    assert http.post(f"/v1/jobs/{job_id}/cancel").is_success
    assert http.delete("/v1/datasets/ours").is_success
    assert cloned(job_id) == ""


def test_a_name_that_can_not_be_is_refused(http, bring):
    bring()
    bring("other")
    for body, status, field in (
        ({"name": "digits"}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": "0198f2c1-0000-7000-8000-000000000000"}, 422, "name"),
        ({"name": "a\x00"}, 422, "name"),
        ({"name": 7}, 422, "name"),
        ({}, 422, "name"),
        ({"name": "x", "note": "y"}, 422, "note"),
        ({"name": "other"}, 409, None),
    ):
        answer = http.patch("/v1/datasets/mine", json=body)
        assert answer.status_code == status, body
        assert answer.headers["content-type"] == "application/problem+json"
        assert field is None or answer.json()["errors"][0]["field"] == field
    assert http.get("/v1/datasets/mine").status_code == 200


def test_what_is_no_upload_can_not_be_changed(http):
    for name, status in (("digits", 409), ("nothing", 404), ("%00", 404)):
        changed = http.patch(f"/v1/datasets/{name}", json={"name": "x"})
        deleted = http.delete(f"/v1/datasets/{name}")
        assert (changed.status_code, deleted.status_code) == (status, status)
    assert "bundled" in http.delete("/v1/datasets/digits").json()["detail"]


def test_a_data_set_stays_while_a_job_that_has_not_ended_uses_it(http, bring):
    bring()
    job_id = queue(http, "mine")
    refused = http.delete("/v1/datasets/mine")
    assert refused.status_code == 409
    assert f"{job_id} (queued)" in refused.json()["detail"]
    http.post(f"/v1/jobs/{job_id}/cancel")
    assert http.delete("/v1/datasets/mine").status_code == 204
    assert http.get("/v1/datasets/mine").status_code == 404


def test_jobs_that_ended_keep_what_they_need_of_a_deleted_data_set(http, served, database, bring):
    dataset = bring()
    ids = [queue(http, "mine") for _ in range(2)]
    for job_id in ids:
        succeed(database, job_id)
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    for name in ("mine", dataset["id"]):
        assert http.get(f"/v1/datasets/{name}?rows=1").status_code == 404
        assert http.delete(f"/v1/datasets/{name}").status_code == 404
        assert http.post("/v1/jobs", json={"dataset": name}).status_code == 422
    assert dataset["id"] not in http.get("/v1/datasets").text
    bring()  # another one of that name is not theirs
    context = served.app.state.context
    material = read_material(context.database, context.store, ids[0])
    assert material.profile is not None
    assert [each.name for each in material.profile.columns] == ["a.b", "a", "label"]
    extended = http.post(f"/v1/jobs/{ids[0]}/extend", json={"trials": 1})
    assert (extended.status_code, "deleted" in extended.json()["detail"]) == (409, True)
    path = http.post(f"/v1/jobs/{ids[0]}/path", json={"penalty": "l1"})
    assert (path.status_code, "data set is gone" in path.json()["detail"]) == (409, True)
    assert http.get(f"/v1/jobs/{ids[0]}/model").status_code == 404
    for job_id in ids:  # the last one takes the row with it
        with database.reading() as transaction:
            assert dataset_by_id(transaction, dataset["id"]).deleted_at is not None
        assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    with database.reading() as transaction, pytest.raises(NotFound):
        dataset_by_id(transaction, dataset["id"])


def test_the_table_of_a_deleted_data_set_is_swept_unless_another_has_the_same_rows(
    http, served, database, bring
):
    first, second = bring(), bring("twin")
    job_id = queue(http, "mine")
    http.post(f"/v1/jobs/{job_id}/cancel")  # its row keeps the data set's, but not the file
    store = served.app.state.context.store

    def tables_after(dataset_id: str) -> int:
        assert http.delete(f"/v1/datasets/{dataset_id}").status_code == 204
        sweeper = Leftovers(database, store, 0.0)
        for _ in range(3):
            sweeper.look()
        return len(store.entries("datasets"))

    assert tables_after(first["id"]) == 1
    assert tables_after(second["id"]) == 0


def test_who_submits_while_the_data_set_is_being_deleted_is_told(http, database, bring):
    """Whatever the order: no job ever waits on data that are gone."""
    dataset = bring()
    spec = parse_spec({"dataset": "mine", "target": "label", "task": "classification"})
    said: list[str] = []

    def submit() -> None:
        try:
            with database.transaction() as transaction:
                submit_job(transaction, spec, dataset_id=dataset["id"])
        except InvalidInput as error:
            said.append(str(error))

    with database.transaction() as transaction:
        delete_dataset(transaction, "mine")
        late = threading.Thread(target=submit)
        late.start()
        late.join(0.3)
        assert late.is_alive(), "it waits for what becomes of the data set"
    late.join(20)
    assert said == ["dataset: has been deleted meanwhile"]
    with database.reading() as transaction:
        assert transaction.execute(sa.select(datasets.c.id)).all() == []


def test_a_change_asks_whose_the_data_set_is_when_it_is_made(database, bring):
    """Whose it was as the request came is not enough: the name may be another's by now."""
    dataset, bob = bring(), Caller("bob", "bob", "submit")
    for named in ("mine", dataset["id"]):
        with database.transaction() as transaction:
            with pytest.raises(NotFound, match=f"There is no data set '{named}'"):
                delete_dataset(transaction, named, bob)
            with pytest.raises(NotFound, match=f"There is no data set '{named}'"):
                rename_dataset(transaction, named, "bobs", bob)
    with database.reading() as transaction:
        assert dataset_by_id(transaction, dataset["id"]).name == "mine"


def test_two_jobs_that_go_at_once_take_the_deleted_data_set_along(http, database, bring):
    dataset = bring()
    ids = [queue(http, "mine") for _ in range(2)]
    for job_id in ids:
        http.post(f"/v1/jobs/{job_id}/cancel")
    http.delete("/v1/datasets/mine")

    def delete(job_id: str) -> None:
        with database.transaction() as transaction:
            delete_job(transaction, job_id)

    threads = [threading.Thread(target=delete, args=(job_id,)) for job_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with database.reading() as transaction, pytest.raises(NotFound, match=re.escape(dataset["id"])):
        dataset_by_id(transaction, dataset["id"])
