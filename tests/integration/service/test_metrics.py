"""/metrics, read by Prometheus's own parser; what is documented and drawn is what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from serving import Served, serve
from submitting import submit
from waiting import wait_until

from ridgeway import fleet
from ridgeway.database.engine import Database
from ridgeway.fleet import WorkerRecord
from ridgeway.jobs import claiming
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.lifecycle import pause_job
from ridgeway.jobs.sizes import Sizes
from ridgeway.measures import Recorder
from ridgeway.settings import Settings
from service import metrics

DOCS = Path(__file__).parents[3] / "docs"
MADE_OF = re.compile(r"ridgeway_[a-z_]+")
# What Prometheus adds to the name of a counter or a histogram.
ENDINGS = re.compile(r"_(?:total|bucket|sum|count|created)$")


@pytest.fixture(autouse=True)
def _read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 0.0)


def samples(http: httpx.Client) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def families(http: httpx.Client) -> set[str]:
    found = {each.name for each in text_string_to_metric_families(http.get("/metrics").text)}
    return {name for name in found if name.startswith("ridgeway_")}


def work(database: Database, worker: str, recorder: Recorder, device: str = "cpu") -> None:
    offers = frozenset({"linear"})
    with database.transaction() as transaction:
        record = WorkerRecord(worker, "here", 1, device, "0", offers, frozenset())
        fleet.record_worker(transaction, record)
        fleet.see_worker(transaction, worker, recorder.stored())


def test_jobs_queue_and_workers_are_told_as_the_database_has_them(
    http: httpx.Client, database: Database
) -> None:
    submit(database, 40)
    paused = submit(database, 7)
    with database.transaction() as transaction:
        pause_job(transaction, paused)
    recorder = Recorder()
    recorder.count("trials_pruned", 5)
    recorder.count("leases_lost")
    for seconds in (0.02, 2.0, 7.5):
        recorder.observe("training_seconds", seconds)
    recorder.reach("gpu_memory_bytes", 3e9)
    recorder.reach("gpu_memory_bytes", 2e9)
    work(database, "w-1", recorder, "cuda:0")
    work(database, "w-2", Recorder())
    for worker in ("w-1", "gone"):
        able = frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 64)
        with database.transaction() as transaction:
            assert claiming.claim(transaction, Claimant(worker, *able, 30.0, 5, device="cuda"))
    found = samples(http)
    assert found["ridgeway_database_up",] == 1
    assert (found["ridgeway_jobs", "running"], found["ridgeway_jobs", "paused"]) == (1, 1)
    assert found["ridgeway_queued_trials",] == 40 - 2 * 4
    assert (found["ridgeway_workers", "cuda"], found["ridgeway_workers", "cpu"]) == (1, 1)
    assert (found["ridgeway_busy_workers", "cuda"], found["ridgeway_busy_workers", "cpu"]) == (1, 0)
    assert found["ridgeway_leases", "population"] == 2, "one of a worker that is gone"
    assert found["ridgeway_trials_total", "pruned"] == 5
    assert found["ridgeway_leases_lost_total",] == 1
    assert found["ridgeway_training_seconds_bucket", "3.0"] == 2
    assert found["ridgeway_training_seconds_count",] == 3
    assert found["ridgeway_training_seconds_sum",] == pytest.approx(9.52)
    assert found["ridgeway_gpu_memory_peak_bytes", "cuda:0", "here"] == 3e9


def test_requests_are_told_by_their_route_and_never_by_what_a_client_wrote(
    http: httpx.Client,
) -> None:
    job = "0198f2c1-0000-7000-8000-000000000000"
    http.get(f"/v1/jobs/{job}")
    http.get("/secret-path/of-a-client")
    http.request("PROPFIND", "/v1/jobs")
    http.get("/readyz", headers={"Host": "evil.example"})
    text = http.get("/metrics").text
    found = samples(http)
    assert found["ridgeway_http_seconds_count", "GET", "/v1/jobs/{id}", "4xx"] == 1
    assert found["ridgeway_http_seconds_count", "GET", "none", "4xx"] == 2
    assert found["ridgeway_http_seconds_count", "other", "/v1/jobs", "4xx"] == 1
    assert found["ridgeway_http_seconds_count", "GET", "/metrics", "2xx"] >= 1
    assert not {"secret-path", "PROPFIND", job, "evil"} & set(re.findall(r"[\w-]+", text))


def test_statements_of_the_service_are_timed(http: httpx.Client) -> None:
    http.get("/v1/jobs")  # a service that has just begun may have asked for nothing yet
    before = samples(http)["ridgeway_database_seconds_count", "select"]
    http.get("/v1/jobs")
    assert samples(http)["ridgeway_database_seconds_count", "select"] > before


def test_scrapes_share_one_read(
    http: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "KEPT_SECONDS", 60.0)
    reads = 0

    def begin(*event: object) -> None:
        nonlocal reads
        reads += 1

    samples(http)
    sa.event.listen(served.app.state.context.database.engine, "begin", begin)
    for _ in range(20):
        samples(http)
    assert reads == 0


def test_without_its_database_a_service_tells_its_own_numbers(
    service_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(service_settings) as served, httpx.Client(base_url=served.url) as http:
        assert samples(http)["ridgeway_database_up",] == 1
        database = served.app.state.context.database
        monkeypatch.setattr(database, "reading", Database(f"sqlite:///{tmp_path}/no/x").reading)
        found = samples(http)
    assert found["ridgeway_database_up",] == 0
    assert ("ridgeway_queued_trials",) not in found
    assert found["ridgeway_http_seconds_count", "GET", "/metrics", "2xx"] >= 1


def test_every_metric_is_documented_and_every_one_drawn_exists(
    http: httpx.Client, database: Database
) -> None:
    recorder = Recorder()
    recorder.reach("gpu_memory_bytes", 1.0)
    work(database, "w-1", recorder, "cuda:0")
    wait_until(lambda: "ridgeway_http_seconds" in families(http), 10)
    there = families(http)
    rows = re.findall(r"^\| `(ridgeway_\w+)`", (DOCS / "watching.md").read_text(), re.MULTILINE)
    assert {ENDINGS.sub("", name) for name in rows} == there
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    queries = [each["expr"] for panel in dashboard["panels"] for each in panel.get("targets", ())]
    drawn = {ENDINGS.sub("", name) for query in queries for name in MADE_OF.findall(query)}
    assert drawn == there
