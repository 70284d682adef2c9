"""PostgreSQL's primary dies in the midst of jobs and its replica is promoted: nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
import sqlalchemy as sa
from deployments import SMALL, Deployment, Installation, checked, wait_until
from replicas import Pair, replicated
from sqlalchemy.exc import DBAPIError

from ridgeway.database.engine import Database
from ridgeway.database.outages import will_pass
from ridgeway.database.tables import workers
from ridgeway.views import Job

LONG = {**SMALL, "trials": 200, "epochs": 60, "sampler": "random", "optimizer": "adamw"}
TINY = {**SMALL, "trials": 1, "epochs": 1}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Both alive until the last test, which takes the primary away."""
    with replicated() as pair:
        yield pair


@pytest.fixture(scope="module")
def deployment(
    pair: Pair, source_tree: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """On whichever of the two takes writes."""
    folder, waits = tmp_path_factory.mktemp("deployed"), {"RIDGEWAY_REQUEST_WAIT_SECONDS": "2"}
    deployment = source_tree.compose(pair.url, folder, workers=2, environment=waits)
    yield deployment
    deployment.stop()


@dataclass
class Client:
    """Submits small jobs one after the other, and remembers what was acknowledged."""

    url: str
    acknowledged: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    _enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()

    def _go_on(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as http:
            while not self._enough.wait(0.01):
                answer = http.post("/v1/jobs", json=TINY)
                self.statuses.add(answer.status_code)
                if answer.is_success:
                    self.acknowledged.append(answer.json()["id"])

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()


def ended(job: Job) -> int:
    return job.progress.complete + job.progress.pruned + job.progress.failed


def look(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.job(job)


def recorded(url: str) -> int:
    """Workers that have said what they offer, as one server knows."""
    database = Database(url)
    with database.reading() as transaction:
        count = transaction.execute(sa.select(sa.func.count()).select_from(workers)).scalar_one()
    database.close()
    return count


def test_a_standby_takes_no_writes_and_is_passed_over(pair):
    create = sa.text("CREATE TEMPORARY TABLE written (number int)")
    standby = Database(pair.standby.url)
    with pytest.raises(DBAPIError) as refused, standby.transaction() as transaction:
        transaction.execute(create)
    assert will_pass(refused.value)
    assert refused.value.connection_invalidated  # the next try asks the address again
    standby.close()
    last = Database(pair.reversed_url)
    with last.transaction() as transaction:
        transaction.execute(create)
    last.close()


def test_what_the_replica_does_not_have_is_not_acknowledged(deployment, pair):
    def post() -> httpx.Response:
        headers = {"Idempotency-Key": "once"}
        return httpx.post(f"{deployment.url}/v1/jobs", json=TINY, headers=headers, timeout=30)

    pair.standby.stop()
    try:
        assert post().status_code == 503
    finally:
        pair.standby.wake()
    wait_until(lambda: post().is_success, 30)
    with deployment.client as client:
        assert len([*client.jobs()]) == 1


def test_jobs_go_on_when_the_replica_is_promoted_and_nothing_acknowledged_is_lost(deployment, pair):
    wait_until(lambda: recorded(pair.url) == 2)
    with deployment.client as client:
        job = client.submit({**LONG, "priority": 1})
    wait_until(lambda: ended(look(deployment, job)) > 0)
    processes = {*deployment.pids("workers"), *deployment.pids("service")}
    other = Client(deployment.url)
    try:
        wait_until(lambda: len(other.acknowledged) >= 5)
        known = look(deployment, job)
        pair.primary.kill()
        killed = time.monotonic()
        _is_away(deployment, job)
        wait_until(lambda: 503 in other.statuses)
    finally:
        other.stop()
    promoted = time.monotonic()
    pair.standby.promote()
    wait_until(deployment.ready)
    assert ended(look(deployment, job)) >= ended(known)
    before = ended(look(deployment, job))
    wait_until(lambda: ended(look(deployment, job)) > before, 60)
    now = time.monotonic()
    print(f"next population {now - killed:.1f} s after the kill, {now - promoted:.1f} s after")
    assert checked(deployment, job).progress.failed == 0
    with deployment.client as client:
        kept = {each.id for each in client.jobs()}
    assert other.statuses == {201, 503}
    assert {*other.acknowledged} <= kept
    assert {*deployment.pids("workers"), *deployment.pids("service")} == processes


def _is_away(deployment: Deployment, job: Job) -> None:
    """Every question is answered, by a problem that says to try again."""
    for path in (f"/v1/jobs/{job.id}", "/v1/jobs", "/readyz"):
        answer = httpx.get(f"{deployment.url}{path}", timeout=30)
        assert answer.status_code == 503, path
        assert answer.headers["content-type"] == "application/problem+json"
