"""Jobs tell of their ends: signed, once where all goes well, again where it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import Counter
from pydantic import SecretStr
from receivers import Receiver, receive
from serving import Served, serve
from standardwebhooks import Webhook
from submitting import submit
from waiting import wait_until

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs, notifications
from ridgeway.errors import InvalidInput
from ridgeway.jobs import notifications as waiting
from ridgeway.jobs.deletion import delete_job
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.lifecycle import cancel_job
from ridgeway.jobs.lookups import find_job
from ridgeway.jobs.rows import update_job
from ridgeway.settings import Settings
from service.app import create_app
from service.notify.allowlist import Allowlist
from service.notify.sender import Sender

SECRET = "whsec_" + "c2VjcmV0" * 4
BODY = {"dataset": "wine", "model": {"kind": "linear"}, "trials": 4}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as running:
        yield running


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path, receiver: Receiver) -> Settings:
    return Settings(
        data=tmp_path,
        database_url=SecretStr(database_url),
        notify_hosts=f"hooks.example, {receiver.url}",
        webhook_secret=SecretStr(SECRET),
        sweep_seconds=0.05,
    )


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.02)


def asked_for(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {**BODY, "notify": [{"url": f"{receiver.url}/hook"}], **more}


def ended_job(http: httpx.Client, receiver: Receiver) -> str:
    """A job that is over, and was to tell of it."""
    answer = http.post("/v1/jobs", json=asked_for(receiver, name="a <b>name</b>"))
    assert answer.status_code == 201, answer.text
    job_id = answer.json()["id"]
    assert http.post(f"/v1/jobs/{job_id}/cancel").status_code == 200
    return job_id


def states(database: Database) -> list[str]:
    with database.reading() as look:
        return [*look.execute(sa.select(notifications.c.state)).scalars()]


def test_a_job_s_end_is_told_once_and_signed(
    http: httpx.Client, receiver: Receiver, database: Database
) -> None:
    job_id = ended_job(http, receiver)
    wait_until(lambda: states(database) == ["sent"], 20)
    time.sleep(0.3)
    ((path, headers, body),) = receiver.told
    assert path == "/hook"
    told = Webhook(SECRET).verify(body, headers)
    assert told["type"] == "job.cancelled"
    own = {"id": job_id, "name": "a <b>name</b>", "state": "cancelled"}
    assert told["data"].items() >= own.items()
    assert told["data"]["verdict"] is None
    assert http.get(told["data"]["links"]["job"]).json()["id"] == job_id
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(body.replace(b"cancelled", b"succeeded"), headers)


def test_a_job_that_runs_tells_nothing_and_its_spec_comes_back_as_it_was_sent(
    http: httpx.Client, receiver: Receiver, database: Database
) -> None:
    spec = http.post("/v1/jobs", json=asked_for(receiver)).json()["spec"]
    assert spec["notify"] == [{"url": f"{receiver.url}/hook"}]
    time.sleep(0.3)
    assert states(database) == ["waiting"]
    assert receiver.told == []


def test_a_receiver_that_fails_is_told_again_by_the_same_id(
    http: httpx.Client, receiver: Receiver, database: Database, served: Served
) -> None:
    receiver.statuses = [500, 302, 200]
    ended_job(http, receiver)
    wait_until(lambda: states(database) == ["sent"], 20)
    assert len(receiver.told) == 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.told}) == 1
    for _, headers, body in receiver.told:
        Webhook(SECRET).verify(body, headers)
    text = http.get("/metrics").text
    assert 'ridgeway_notification_tries_total{outcome="failed"} 2.0' in text
    assert 'ridgeway_notification_tries_total{outcome="sent"} 1.0' in text


def test_a_service_that_starts_again_tells_what_the_one_before_could_not(
    service_settings: Settings,
    receiver: Receiver,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "LEASE_SECONDS", 2.0)  # it may be stopped in the midst of a try
    receiver.statuses = [503]
    with serve(service_settings) as served, httpx.Client(base_url=served.url) as http:
        ended_job(http, receiver)
        wait_until(lambda: len(receiver.told) >= 2, 20)
    assert states(database) == ["waiting"]
    receiver.statuses = [200]
    with serve(service_settings):
        wait_until(lambda: states(database) == ["sent"], 20)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.told}) == 1


@pytest.mark.parametrize(("status", "lasting"), [(500, 0.0), (410, 86400.0)])
def test_what_can_t_be_told_is_given_up_and_the_job_says_so_without_its_path(
    http: httpx.Client,
    receiver: Receiver,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    lasting: float,
) -> None:
    monkeypatch.setattr(waiting, "GIVEN_UP_SECONDS", lasting)
    receiver.statuses = [status]
    job_id = ended_job(http, receiver)
    wait_until(lambda: states(database) == ["given_up"], 20)
    (warning,) = http.get(f"/v1/jobs/{job_id}").json()["warnings"]
    host = receiver.url.removeprefix("http://")
    assert warning == (f"{host} could not be told of the job's end, in 1 try: it answered {status}")
    time.sleep(0.2)
    assert len(receiver.told) == 1


def test_hosts_that_may_not_be_told_are_refused_with_those_that_may(
    http: httpx.Client, receiver: Receiver, database: Database
) -> None:
    body = {**BODY, "notify": [{"url": "https://hooks.example/"}, {"url": "http://10.0.0.1/"}]}
    answer = http.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "notify.1.url"
    assert "https://hooks.example" in error["message"]
    assert states(database) == []


def test_a_service_that_tells_nobody_says_so(database_url: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url=SecretStr(database_url))
    with serve(settings) as served, httpx.Client(base_url=served.url) as http:
        body = {**BODY, "notify": [{"url": "https://hooks.example/"}]}
        answer = http.post("/v1/jobs", json=body)
        assert answer.status_code == 422
        assert "RIDGEWAY_NOTIFY_HOSTS is empty; accepted: []" in answer.text


def test_no_service_starts_with_hosts_and_without_a_secret(service_settings: Settings) -> None:
    settings = service_settings.model_copy(update={"webhook_secret": None})
    with pytest.raises(InvalidInput, match="RIDGEWAY_WEBHOOK_SECRET"):
        create_app(settings)


# --- the rows, without a service ----------------------------------------------------------------


def submitted(database: Database) -> str:
    return submit(database, 4, notify=[{"url": "https://hooks.example/a"}] * 2)


def end(database: Database, job_id: str) -> None:
    with database.transaction() as transaction:
        cancel_job(transaction, job_id)


def claim(database: Database) -> waiting.Due | None:
    with database.transaction() as transaction:
        return waiting.claim_notification(transaction)


def let_leases_run_out(database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute(sa.update(notifications).values(due_at=now() - 1))


def test_of_two_services_one_tells_and_the_other_takes_over_when_it_is_lost(
    database: Database,
) -> None:
    job_id = submitted(database)
    assert claim(database) is None
    end(database, job_id)
    first = claim(database)
    assert first is not None
    assert claim(database) is None
    let_leases_run_out(database)
    second = claim(database)
    assert second == replace(first, attempts=2)
    with database.transaction() as transaction:
        waiting.note_sent(transaction, first)
        assert not waiting.note_failed(transaction, first, "too late", final=True)
    assert states(database) == ["waiting"]
    with database.transaction() as transaction:
        waiting.note_sent(transaction, second)
    assert states(database) == ["sent"]


def test_it_is_tried_for_a_day_from_the_first_try_on(database: Database) -> None:
    end(database, submitted(database))
    with database.transaction() as transaction:
        transaction.execute(sa.update(notifications).values(due_at=now() - 3 * 86400))
    due = claim(database)
    assert due is not None
    with database.transaction() as transaction:
        assert not waiting.note_failed(transaction, due, "it answered 500")
    let_leases_run_out(database)
    with database.transaction() as transaction:
        transaction.execute(sa.update(notifications).values(first_at=now() - 86401))
    due = claim(database)
    assert due is not None
    with database.transaction() as transaction:
        assert waiting.note_failed(transaction, due, "it answered 500")
        assert "in 2 tries" in find_job(transaction, due.job_id).warnings[-1]


def test_pauses_double_up_to_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 5.0)
    for attempts, seconds in ((1, 5), (2, 10), (5, 80), (20, 3600), (10**6, 3600)):
        assert 0.8 * seconds <= waiting.pause_after(attempts) <= 1.2 * seconds


def test_a_reopened_job_tells_of_its_next_end_by_another_id(database: Database) -> None:
    job_id = submitted(database)
    with database.transaction() as transaction:
        update_job(transaction, job_id, state="succeeded")
    first = claim(database)
    assert first is not None
    with database.transaction() as transaction:
        waiting.note_sent(transaction, first)
        extend_job(transaction, job_id, 4)
    assert claim(database) is None
    end(database, job_id)
    second = claim(database)
    assert second is not None
    assert (second.url, second.attempts) == (first.url, 1)
    assert second.id != first.id


def reopened(database: Database, job_id: str) -> waiting.Due:
    """A claim of a succeeded job's end, of a job that was extended since."""
    with database.transaction() as transaction:
        update_job(transaction, job_id, state="succeeded")
    first = claim(database)
    assert first is not None
    with database.transaction() as transaction:
        extend_job(transaction, job_id, 4)
    return first


def test_a_job_that_is_reopened_while_it_is_told_tells_of_its_next_end(database: Database) -> None:
    job_id = submitted(database)
    first = reopened(database, job_id)
    with database.transaction() as transaction:
        waiting.note_sent(transaction, first)
        assert not waiting.note_failed(transaction, first, "it answered 500", final=True)
    end(database, job_id)
    second = claim(database)
    assert second is not None
    assert (second.url, second.attempts, second.id != first.id) == (first.url, 1, True)


def test_more_trials_for_a_job_that_runs_change_nobody_s_notification(database: Database) -> None:
    job_id = submitted(database)
    ids = sa.select(notifications.c.id)
    with database.transaction() as transaction:
        before = transaction.execute(ids).scalars().all()
        extend_job(transaction, job_id, 4)
        assert transaction.execute(ids).scalars().all() == before


def test_a_try_that_finds_the_job_reopened_tells_nothing(
    database: Database, service_settings: Settings, receiver: Receiver
) -> None:
    job_id = submit(database, 4, notify=[{"url": f"{receiver.url}/hook"}])
    tries = Counter("tries", "of this test", ["outcome"], registry=None)
    allowlist = Allowlist.of(service_settings)
    sender = Sender(database, service_settings, allowlist, tries)
    asyncio.run(sender._tell(reopened(database, job_id)))
    assert receiver.told == []
    assert states(database) == ["waiting"]
    end(database, job_id)
    assert asyncio.run(sender.send_some())
    ((_, _, body),) = receiver.told
    assert b'"job.cancelled"' in body
    assert states(database) == ["sent"]


def test_a_deleted_job_tells_nothing(database: Database) -> None:
    job_id = submitted(database)
    end(database, job_id)
    with database.transaction() as transaction:
        delete_job(transaction, job_id)
    assert states(database) == []


def test_a_job_that_tells_nobody_is_stored_as_earlier_releases_read_it(database: Database) -> None:
    submit(database, 4)
    with database.reading() as look:
        assert "notify" not in look.execute(sa.select(jobs.c.spec)).scalar_one()
