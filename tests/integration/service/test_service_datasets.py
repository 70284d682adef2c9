"""/v1/datasets and a job's model over real HTTP, on both databases."""

from __future__ import annotations

import gzip
import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from psutil import Process

from ridgeway.client.client import Client
from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import Upload, add_dataset
from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings
from ridgeway.spec.profiles import DatasetProfile
from service import ingest
from service.problems import ServiceUnavailable
from service.routes import datasets as dataset_routes

CSV = b"width,colour,label\n" + b"".join(
    b"%d,%s,%d\n" % (i, b"rg"[i % 2 :][:1], i % 2) for i in range(60)
)


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path) -> Settings:
    """A smaller limit makes quicker tests."""
    return Settings(data=tmp_path, database_url=database_url, max_upload_bytes=100_000)  # type: ignore[arg-type]


def test_the_bundled_data_sets_are_listed_and_described(http):
    listed = {each["name"]: each for each in http.get("/v1/datasets").json()["datasets"]}
    assert {"digits", "breast_cancer", "wine", "diabetes"} <= listed.keys()
    assert (listed["diabetes"]["task"], listed["diabetes"]["rows"]) == ("regression", 442)
    assert listed["digits"]["column_count"] == 65
    digits = http.get("/v1/datasets/digits").json()
    assert listed["digits"].items() < digits.items()
    assert len(digits["columns"]) == 65


def test_an_uploaded_csv_is_listed_and_can_be_searched(http):
    answer = http.post("/v1/datasets?name=mine", content=CSV)
    assert answer.status_code == 201
    dataset = answer.json()
    assert answer.headers["location"] == f"/v1/datasets/{dataset['id']}"
    assert (dataset["rows"], dataset["target"], dataset["kind"]) == (60, "label", "uploaded")
    assert dataset["checksum"] == hashlib.sha256(CSV).hexdigest()
    (listed,) = (
        each for each in http.get("/v1/datasets").json()["datasets"] if each["id"] == dataset["id"]
    )
    assert listed.items() < dataset.items()
    for name in ("mine", dataset["id"]):
        described = http.get(f"/v1/datasets/{name}").json()
        assert [each["name"] for each in described["columns"]] == ["width", "colour", "label"]
        assert described | {"jobs": [], "job_count": 0} == dataset
        job = http.post("/v1/jobs", json={"dataset": name})
        assert (job.status_code, job.json()["spec"]["target"]) == (201, "label")


def test_an_upload_tells_what_is_made_of_its_columns_and_a_job_says_otherwise(http):
    lines = [f"{row};{1 + row % 28}.5.2024;{row % 9}.234,5;{row % 3}" for row in range(60)]
    answer = http.post("/v1/datasets?name=odd&header=false", content="\n".join(lines))
    assert (answer.status_code, answer.json()["header"], answer.json()["rows"]) == (201, False, 60)
    columns = answer.json()["columns"]
    assert [own["kind"] for own in columns] == ["identifier", "date_day_first", "number", "number"]
    assert all(own["made"] for own in columns)
    assert columns[0]["warnings"][0]["code"] == "identifier"
    assert (columns[2]["missing"], columns[2]["distinct"], columns[2]["minimum"]) == (
        0,
        9,
        0.2345e3,
    )
    job = http.post("/v1/jobs", json={"dataset": "odd"}).json()
    assert job["spec"]["columns"] == {"column_1": "identifier", "column_2": "date_day_first"}
    assert any("`column_1` (an identifier)" in each for each in job["warnings"])
    bad = http.post("/v1/jobs", json={"dataset": "odd", "columns": {"column_2": "number"}})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "columns.column_2")
    assert "holds '1.5.2024', which is no number" in bad.json()["errors"][0]["message"]
    other = http.post("/v1/datasets?name=odd&header=true", content="\n".join(lines))
    assert (other.status_code, "read as values" in other.json()["detail"]) == (409, True)
    strange = http.post("/v1/datasets?name=odd2&header=maybe", content="\n".join(lines))
    assert strange.status_code == 422


def test_a_name_with_slashes_and_escapes_is_found(http):
    name = "a/b c?d#e%2F/.."
    assert http.post("/v1/datasets", params={"name": name}, content=CSV).status_code == 201
    with Client(str(http.base_url)) as client:
        assert client.dataset(name).name == name


@pytest.mark.parametrize("name", ["nothing", "a/b", "", "%00", "%ff", "n" * 5000])
def test_a_data_set_that_is_not_there_is_a_404(http, name):
    answer = http.get(f"/v1/datasets/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_wide_data_sets_make_no_page_longer_and_cost_no_memory(http, database):
    column = bundled_profiles()["wine"].columns[0]
    columns = [column.model_copy(update={"name": f"column {i:05}"}) for i in range(2_000)]
    wide = DatasetProfile(rows=100, columns=columns)
    with database.transaction() as transaction:
        for number in range(40):
            add_dataset(transaction, Upload(f"wide {number:02}", "a", "b", "c", 1, wide))
    before = resident_mb()
    page = http.get("/v1/datasets?limit=44")
    assert len(page.content) < 44 * 400
    assert [each["column_count"] for each in page.json()["datasets"][4:]] == [2_000] * 40
    refused = http.post("/v1/jobs", json={"dataset": "wide"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "dataset")
    assert refused.json()["detail"].endswith("and 36 more.")
    assert resident_mb() - before < 20
    assert len(http.get("/v1/datasets/wide%2007").json()["columns"]) == 2_000


def resident_mb() -> float:
    return Process().memory_info().rss / 2**20


def test_an_unknown_data_set_is_refused_before_the_transaction_that_writes(
    http, database, service_settings
):
    """Somebody else's write is under way: what waited for it would not answer."""
    with database.transaction() as transaction:
        add_dataset(transaction, Upload("mine", "a", "b", "c", 1, bundled_profiles()["wine"]))
        answer = http.post("/v1/jobs", json={"dataset": "nothing"}, timeout=4)
    assert answer.status_code == 422


def test_the_same_bytes_may_come_as_gzip_parquet_or_npz(http):
    table = pa.table({"a": [1.0, 2.0, 3.0], "label": ["x", "y", "x"]})
    parquet, npz = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    np.savez(npz, X=np.eye(4), y=np.arange(4) % 2)
    files = {"zipped": gzip.compress(CSV), "parquet": parquet.getvalue(), "npz": npz.getvalue()}
    for name, data in files.items():
        answer = http.post("/v1/datasets", params={"name": name}, content=data)
        assert answer.status_code == 201, answer.text
    rows = {each["name"]: each["rows"] for each in http.get("/v1/datasets").json()["datasets"]}
    assert (rows["zipped"], rows["parquet"], rows["npz"]) == (60, 3, 4)


def test_another_file_under_a_taken_name_is_a_conflict(http):
    assert http.post("/v1/datasets?name=mine", content=CSV).status_code == 201
    again = http.post("/v1/datasets?name=mine", content=CSV)
    assert (again.status_code, again.json()["rows"]) == (201, 60)
    answer = http.post("/v1/datasets?name=mine", content=CSV + b"1,r,1\n")
    assert (answer.status_code, answer.json()["title"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("broken", b"a,b\n1,2\n1,2,3\n", "3"),
        ("empty", b"", ""),
        ("parquet", b"PAR1 this is none", ""),
        ("zip", b"PK\x03\x04 this is none", ""),
        ("gzip", b"\x1f\x8b this is none", ""),
    ],
)
def test_a_broken_file_is_a_422_that_says_where(http, name, data, said):
    answer = http.post("/v1/datasets", params={"name": name}, content=data)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "file"
    assert said in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_file_above_the_limit_is_refused(http):
    answer = http.post("/v1/datasets?name=large", content=b"a,b\n" + b"1,2\n" * 30_000)
    assert answer.status_code == 413
    assert "100000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["", "digits", " spaces ", "a\x00b", "x" * 201])
def test_a_name_that_can_not_be_taken_is_refused(http, name):
    answer = http.post("/v1/datasets", params={"name": name}, content=CSV)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "name"


def test_reading_an_upload_leaves_no_process_and_no_file(http, served):
    assert http.post("/v1/datasets?name=mine", content=CSV).status_code == 201
    assert list(served.app.state.context.scratch.iterdir()) == []
    assert [child for child in Process().children() if "service.ingest" in child.cmdline()] == []


def test_the_model_comes_from_the_store_once_there_is_an_answer(http, served, database):
    job = http.post("/v1/jobs", json={"dataset": "digits"}).json()
    address = f"{job['links']['self']}/model"
    assert http.get(address).status_code == 404
    weights = bytes(range(256)) * 1000
    app: FastAPI = served.app
    checksum = app.state.context.store.put(f"jobs/{job['id']}/model", weights)
    keep_artifact(database, job["id"], checksum, len(weights))
    answer = http.get(address)
    assert answer.status_code == 200
    assert answer.content == weights
    assert answer.headers["content-length"] == "256000"
    assert answer.headers["etag"] == f'"{checksum}"'
    assert f"{job['id']}.safetensors" in answer.headers["content-disposition"]


@pytest.mark.parametrize("damaged", [b"weigh", b"WEIGHTS"], ids=["cut", "changed"])
def test_a_damaged_file_is_a_problem_and_no_answer_that_breaks_off(http, served, database, damaged):
    job = http.post("/v1/jobs", json={"dataset": "digits"}).json()
    key, store = f"jobs/{job['id']}/model", served.app.state.context.store
    keep_artifact(database, job["id"], store.put(key, b"weights"), 7)
    store.put(key, damaged)
    address = f"{job['links']['self']}/model"
    for query in ("", "?format=onnx"):
        answer = http.get(f"{address}{query}")
        assert answer.status_code == 503, answer.text
        assert f"The store's '{key}' is damaged" in answer.json()["detail"]
    store.put(key, b"weights")
    assert http.get(address).content == b"weights"


def keep_artifact(database: Database, job_id: str, checksum: str, size: int) -> None:
    with database.transaction() as transaction:
        transaction.execute(
            sa.insert(artifacts).values(
                job_id=job_id,
                name="model.safetensors",
                address=f"jobs/{job_id}/model",
                checksum=checksum,
                bytes=size,
                created_at=now(),
            )
        )


def test_a_file_that_takes_too_long_to_read_is_refused(http, monkeypatch):
    monkeypatch.setattr(ingest, "SECONDS", 0.01)
    monkeypatch.setattr(ingest, "SECONDS_PER_BYTE", 0.0)
    answer = http.post("/v1/datasets?name=slow", content=CSV)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")
    assert "within 0.01 s" in answer.json()["detail"]


def test_a_file_that_takes_too_much_memory_is_refused(
    database, service_settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(ingest, "LEAST_MEMORY", 2**29)
    monkeypatch.setattr(ingest, "MEMORY_PER_BYTE", 1)
    settings = service_settings.model_copy(update={"max_upload_bytes": 2**26})
    zeros = pa.array(np.zeros(3_000_000, np.int8))
    pq.write_table(pa.table({f"x{index}": zeros for index in range(10)}), tmp_path / "bomb")
    assert (tmp_path / "bomb").stat().st_size < 200_000
    with pytest.raises(InvalidInput, match="more memory than there is"):
        ingest.ingest_apart(settings, tmp_path / "bomb", "bomb")


def test_a_busy_database_makes_the_service_unavailable_to_uploads(
    database, service_settings, tmp_path
):
    settings = service_settings.model_copy(update={"request_wait_seconds": 0.5})
    (tmp_path / "file").write_bytes(CSV)
    with database.transaction() as transaction:
        add_dataset(transaction, Upload("mine", "a", "b", "c", 1, bundled_profiles()["wine"]))
        with pytest.raises(ServiceUnavailable, match="busy"):
            ingest.ingest_apart(settings, tmp_path / "file", "mine")


def test_of_many_uploads_at_once_few_are_read_at_once(http, monkeypatch):
    reading, most = 0, 0
    lock = threading.Lock()
    read = dataset_routes.ingest_apart

    def counted(*arguments):
        nonlocal reading, most
        with lock:
            reading += 1
            most = max(most, reading)
        try:
            return read(*arguments)
        finally:
            with lock:
                reading -= 1

    monkeypatch.setattr(dataset_routes, "ingest_apart", counted)
    with ThreadPoolExecutor(5) as pool:
        answers = list(
            pool.map(lambda name: http.post(f"/v1/datasets?name={name}", content=CSV), "abcde")
        )
    assert [answer.status_code for answer in answers] == [201] * 5
    assert most == ingest.READERS


def test_a_store_that_takes_nothing_is_a_503_and_the_upload_can_be_sent_again(http, tmp_path):
    store = tmp_path / "store"
    store.write_text("a file where a folder should be")
    answer = http.post("/v1/datasets?name=mine", content=CSV)
    assert answer.status_code == 503, answer.text
    assert answer.headers["retry-after"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert "The store can't write 'datasets/" in answer.json()["detail"]
    assert str(tmp_path) not in answer.text
    store.unlink()
    assert http.post("/v1/datasets?name=mine", content=CSV).status_code == 201


def test_a_store_that_gives_nothing_is_a_503_for_a_model(http, tmp_path, database):
    job = http.post("/v1/jobs", json={"dataset": "digits"}).json()
    keep_artifact(database, job["id"], "0" * 64, 5)
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / "jobs").write_text("a file where a folder should be")
    answer = http.get(f"{job['links']['self']}/model")
    assert answer.status_code == 503, answer.text
    assert "The store can't read 'jobs/" in answer.json()["detail"]
    (tmp_path / "store" / "jobs").unlink()
    assert http.get(f"{job['links']['self']}/model").status_code == 404
