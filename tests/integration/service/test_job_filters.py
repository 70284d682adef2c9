"""GET /v1/jobs narrowed by state, data set, name, kind and time, over HTTP and by the client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from submitting import submit

from ridgeway.client.client import Client
from ridgeway.database.engine import Database
from ridgeway.jobs.lifecycle import cancel_job, pause_job
from ridgeway.jobs.rows import update_job

NAMES = ("Wine, again", "100% digits", "wine_2", "path")


@pytest.fixture
def ids(database: Database) -> list[str]:
    """Four jobs, a minute apart: cancelled, paused, queued, and a path that is queued."""
    own = [submit(database, name=name, dataset="wine") for name in NAMES[:2]]
    own.append(submit(database, name=NAMES[2]))
    own.append(submit(database, name=NAMES[3], kind="path", search={"penalty": ["l1"]}))
    with database.transaction() as transaction:
        cancel_job(transaction, own[0])
        pause_job(transaction, own[1])
        for place, job_id in enumerate(own):
            update_job(transaction, job_id, created_at=1_800_000_000.0 + 60 * place)
    return own


def at(minute: int) -> datetime:
    return datetime.fromtimestamp(1_800_000_000.0 + 60 * minute, UTC)


LISTED: list[tuple[str, list[int]]] = [
    ("", [3, 2, 1, 0]),
    ("state=paused", [1]),
    ("state=paused&state=cancelled", [1, 0]),
    ("dataset=wine", [1, 0]),
    ("dataset=nothing", []),
    ("name=WINE", [2, 0]),
    ("name=100%25", [1]),
    ("name=_", [2]),
    ("kind=path", [3]),
    ("kind=search&state=queued", [2]),
    ("since=2027-01-15T08:01:00Z", [3, 2, 1]),
    ("since=2027-01-15T09:01:00%2B01:00&before=2027-01-15t08:02:00z", [1]),
    ("before=2027-01-15T09:01:00+01:00", [0]),  # a plus that was not escaped
    ("since=0001-01-01T00:00:00%2B23:59&name=path", [3]),
    ("before=9999-12-31T23:59:59.999999999-23:59&name=path", [3]),
]
REFUSED = [
    ("state=asleep", "state.0", "queued"),
    ("kind=other", "kind", "search"),
    ("name=%00", "name", ""),
    ("dataset=", "dataset", ""),
    ("since=yesterday", "since", "like 2026-11-26T12:00:00Z"),
    ("before=2026-11-26", "before", "offset"),
    ("before=2026-02-30T12:00:00Z", "before", "offset"),
    ("since=1764158400", "since", "offset"),
]


def test_jobs_that_pass_every_filter_are_listed_in_pages(http, ids):
    for query, found in LISTED:
        listed: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page = http.get(f"/v1/jobs?limit=2&{query}{more}")
            assert page.status_code == 200, page.text
            listed += [ids.index(job["id"]) for job in page.json()["jobs"]]
            cursor = page.json()["next"]
        assert listed == found, query


def test_a_filter_that_is_none_is_refused_by_its_name(http):
    for query, field, said in REFUSED:
        refused = http.get(f"/v1/jobs?{query}")
        assert refused.status_code == 422, query
        (error,) = refused.json()["errors"]
        assert (error["field"], said in error["message"]) == (field, True)


def test_the_client_lists_by_filters(served, http, ids):
    with Client(str(http.base_url)) as client:

        def listed(**filters: object) -> list[int]:
            return [ids.index(job.id) for job in client.jobs(**filters)]  # type: ignore[arg-type]

        assert listed(state="queued", kind="search") == [2]
        assert listed(state=["paused", "cancelled"], name="wine") == [0]
        elsewhere = timezone(timedelta(hours=-7))
        assert listed(since=at(1).astimezone(elsewhere), before=at(3), dataset="wine") == [1]
