"""`python -m service` as a process: what it loads, how it starts and ends, its dashboard."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import psutil
import pytest
import sqlalchemy as sa
from service_processes import environment, running
from waiting import wait_until

from ridgeway.database.clock import now
from ridgeway.database.tables import workers
from ridgeway.fleet import WorkerRecord, record_worker

LARGEST_RESIDENT_MB = 150


def test_the_service_imports_nothing_that_trains_or_plots():
    code = (
        "import sys, service.app, service.__main__; heavy = {'torch', 'sklearn', 'pandas', 'scipy',"
        "'pyarrow', 'optuna_dashboard', 'plotly', 'ray'}; print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_busy_service_stays_small(database_url, tmp_path):
    with running(database_url, tmp_path) as service:
        http = service.http
        csv = b"a,b,label\n" + b"".join(b"%d,%d,%d\n" % (i, i * i, i % 2) for i in range(50_000))
        assert http.post("/v1/datasets?name=large", content=csv).status_code == 201
        for _ in range(50):
            job = http.post("/v1/jobs", json={"dataset": "large"})
            assert http.get(job.headers["location"]).status_code == 200
        assert http.get("/v1/jobs?limit=500").status_code == 200
        assert http.get("/openapi.json").status_code == 200
        assert http.get("/dashboard").status_code == 200
        assert service.resident_mb() < LARGEST_RESIDENT_MB


def test_an_old_schema_stops_the_service_with_what_to_run(empty_database_url, tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "service", "--port", "0"],
        env=environment(empty_database_url, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "ridgeway migrate" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"RIDGEWAY_DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:9/none"}, 3, "database"),
        ({"RIDGEWAY_DATABASE_URL": "mysql://me:hunter2@127.0.0.1/none"}, 2, "postgresql://"),
        ({"RIDGEWAY_STORE_URL": "nope://me:hunter2@there/x"}, 2, "RIDGEWAY_STORE_URL"),
        ({"RIDGEWAY_STORE_URL": "github://there"}, 2, "RIDGEWAY_STORE_URL"),
        ({"RIDGEWAY_LEASE_SECONDS": "-1"}, 2, "RIDGEWAY_LEASE_SECONDS"),
        ({"RIDGEWAY_LOG_LEVEL": "shouting"}, 2, "RIDGEWAY_LOG_LEVEL"),
    ],
)
def test_settings_that_can_not_work_are_told_without_their_secrets(tmp_path, change, code, said):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "service", "--port", "0"],
        env=environment(f"sqlite:///{tmp_path}/ridgeway.db", tmp_path) | change,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_supervised_service_ends_with_its_supervisor(database_url, tmp_path):
    with running(database_url, tmp_path, "--supervised") as service:
        assert service.process.stdin is not None
        service.process.stdin.close()
        service.process.wait(15)


def test_what_a_service_of_its_own_writes_is_for_its_user_alone(database_url, tmp_path):
    with running(database_url, tmp_path) as service:
        answer = service.http.post("/v1/datasets?name=private", content=b"a,label\n1,0\n2,1\n")
        assert answer.status_code == 201
    written = [tmp_path / "store", *(tmp_path / "store").rglob("*")]
    assert any(path.is_file() for path in written)
    assert [path for path in written if path.stat().st_mode & 0o077] == []


def test_the_service_is_ready_when_a_worker_was_seen(database, database_url, tmp_path):
    with running(database_url, tmp_path) as service:
        waiting = service.http.get("/readyz")
        assert waiting.status_code == 503
        assert "worker" in waiting.json()["detail"]
        record = WorkerRecord("w-1", "here", 1, "cpu", "0", frozenset({"linear"}), frozenset())
        with database.transaction() as transaction:
            record_worker(transaction, record)
        assert service.http.get("/readyz").json() == {"status": "ready", "workers": 1}
        with database.transaction() as transaction:
            transaction.execute(sa.update(workers).values(seen_at=now() - 31.0))
        assert service.http.get("/readyz").status_code == 503


def test_the_dashboard_shows_a_jobs_study_and_changes_nothing(database_url, tmp_path):
    with running(database_url, tmp_path) as service:
        http = service.http
        job = http.post("/v1/jobs", json={"dataset": "digits"}).json()
        assert service.dashboards() == []
        page = http.get(job["links"]["dashboard"])
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        assert len(service.dashboards()) == 1
        studies = http.get("/api/studies").json()["study_summaries"]
        assert [study["study_name"] for study in studies] == [job["id"]]
        number = job["links"]["dashboard"].rpartition("/")[2]
        assert http.get(f"/api/studies/{number}").json()["name"] == job["id"]
        assert http.get(f"/csv/{number}").headers["content-type"].startswith("text/csv")
        assert http.head("/dashboard").status_code == 200
        [script] = re.findall(r'src="(/static/[^"]+)"', page.text)
        assert len(http.get(script).content) > 100_000
        for method, path in (("DELETE", f"/api/studies/{number}"), ("POST", "/api/studies")):
            assert http.request(method, path, json={}).status_code == 405
        for path in ("/dashboard/%00", "/static/..%2f..%2f_app.py", "/api/studies/1?after=%ff"):
            assert http.get(path, headers={"Host": "["}).status_code == 400
            assert http.get(path).status_code in (200, 403, 404, 503)
        assert b"import" not in http.get("/static/..%2f_app.py").content
        assert len(http.get("/api/studies").json()["study_summaries"]) == 1


def test_a_dashboard_that_died_is_started_again_and_ends_with_the_service(database_url, tmp_path):
    with running(database_url, tmp_path) as service:
        assert service.http.get("/api/meta").status_code == 200
        [first] = service.dashboards()
        assert all("postgresql" not in word for word in first.cmdline())
        first.kill()
        wait_until(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE)
        assert service.http.get("/api/meta").status_code == 200
        [second] = service.dashboards()
        service.process.send_signal(signal.SIGKILL)
        wait_until(lambda: not second.is_running(), 15)
