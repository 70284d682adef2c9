"""A job that no live worker can take says so, names who lacks what, and stops when one can."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from strange import rewrite
from submitting import submit

from ridgeway import fleet
from ridgeway.data import catalogue
from ridgeway.data.store import Store
from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import datasets as dataset_table
from ridgeway.database.tables import jobs as job_table
from ridgeway.database.tables import workers as worker_table
from ridgeway.jobs import claiming, holding, lookups, store_outages, waiting
from ridgeway.jobs.claimant import AtHand, Claimant
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.jobs.sizes import Sizes
from ridgeway.settings import Settings
from ridgeway.spec.names import PENALTY_NAMES
from ridgeway.spec.wording import parse_spec

MODELS, DATASETS = frozenset({"mlp", "linear"}), frozenset({"digits"})
NOTHING = AtHand(frozenset(), frozenset())


def claimant(at_hand: AtHand | None = None) -> Claimant:
    return Claimant("w-1", MODELS, DATASETS, Sizes(4, 64), 30.0, 5, at_hand=at_hand)


def start(database: Database, worker: str, host: str = "gpu-1", **offers: frozenset[str]) -> None:
    known = {"models": MODELS, "datasets": DATASETS, **offers}
    record = fleet.WorkerRecord(worker, host, 1, "cpu", "0.9", **known)
    with database.transaction() as transaction:
        fleet.record_worker(transaction, record)


def warnings(database: Database, job_id: str) -> list[str]:
    with database.reading() as transaction:
        (listed,) = lookups.list_jobs(transaction, cursor=None, limit=1).jobs
        job = lookups.find_job(transaction, job_id)
    assert (listed.warnings, listed.waiting) == (job.warnings, job.waiting)
    assert job.warnings == ([] if job.waiting is None else [job.waiting])
    return job.warnings


def test_without_a_worker_a_job_says_that_none_is_running(database):
    job_id = submit(database)
    assert warnings(database, job_id) == [waiting.NOBODY]
    start(database, "w")
    assert warnings(database, job_id) == []
    with database.transaction() as transaction:
        gone = now() - 2 * fleet.LIVE_SECONDS
        transaction.execute(sa.update(worker_table).values(seen_at=gone))
    assert warnings(database, job_id) == [waiting.NOBODY]


def test_workers_and_what_each_lacks_are_named_until_one_can_take_the_job(database):
    job_id = submit(database, model={"kind": "lab"}, dataset="mill")
    start(database, "w-1")
    start(database, "w-2")
    start(database, "w-3", "gpu-2", models=MODELS | {"lab"})
    (told,) = warnings(database, job_id)
    assert "2 workers on gpu-1 (release 0.9) lack the model 'lab', the data set 'mill'" in told
    assert "a worker on gpu-2 (release 0.9) lacks the data set 'mill'" in told
    assert waiting.INSTALL in told
    start(database, "w-4", models=MODELS | {"lab"}, datasets=DATASETS | {"mill"})
    assert warnings(database, job_id) == []


def test_a_plug_in_s_penalty_is_named(database):
    start(database, "w")
    job_id = submit(database, search={"penalty": ["l1", "odd"]})
    assert "lacks the penalty 'odd'" in warnings(database, job_id)[0]
    start(database, "w-2", penalties=frozenset({*PENALTY_NAMES, "odd"}))
    assert warnings(database, job_id) == []


def submit_upload(database: Database, folder: Path) -> str:
    """Queue a job on an upload; return its id."""
    file = folder / "mill.csv"
    file.write_text("a,b\n1,2\n3,4\n5,7\n")
    settings = Settings(data=folder)
    catalogue.ingest(database, Store.of(settings), settings, file, "mill")
    with database.transaction() as transaction:
        dataset_id = transaction.execute(sa.select(dataset_table.c.id)).scalar_one()
        return submit_job(transaction, parse_spec({"dataset": "mill"}), dataset_id=dataset_id)


def test_an_uploaded_data_set_is_every_worker_s(database, tmp_path):
    start(database, "w")
    job_id = submit_upload(database, tmp_path)
    assert warnings(database, job_id) == []


def test_a_store_that_is_away_is_told_of_jobs_that_need_it_until_it_is_back(database, tmp_path):
    job_id = submit_upload(database, tmp_path)
    start(database, "w-1")
    start(database, "w-2", "gpu-2")
    with database.transaction() as transaction:
        since = store_outages.tell_outage(transaction, "w-2", job_id, "Nothing answers.")
        store_outages.tell_outage(transaction, "w-1", job_id, "Busy.", since + 60.0)
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    (told,) = warnings(database, job_id)
    assert told == (
        f"The store does not answer a worker on gpu-2 and 1 more since {moment}: Nothing answers. "
        "The job goes on by itself once it does."
    )
    start(database, "w-3")
    assert warnings(database, job_id) == [], "another can take it"
    with database.transaction() as transaction:
        fleet.mark_gone(transaction, "w-3")
        lease = claiming.claim(transaction, claimant())
        assert lease is not None
        fleet.see_worker(transaction, "w-1")
    assert "gpu-1 since" in warnings(database, job_id)[0], "its only holder waits"
    with database.transaction() as transaction:
        store_outages.tell_end(transaction, "w-1")
    assert warnings(database, job_id) == [], "it is worked on"
    with database.transaction() as transaction:
        holding.release(transaction, lease)
        fleet.mark_gone(transaction, "w-2")
    assert warnings(database, job_id) == [], "nobody alive says so"


def test_in_an_outage_a_worker_takes_only_jobs_whose_data_it_has(database, tmp_path):
    job_id = submit_upload(database, tmp_path)
    with database.reading() as transaction:
        checksum = transaction.execute(sa.select(dataset_table.c.stored_checksum)).scalar_one()
    in_memory = AtHand(frozenset({job_id}), frozenset())
    copied = AtHand(frozenset(), frozenset({checksum}))
    for at_hand, able in ((NOTHING, False), (in_memory, True), (copied, True), (None, True)):
        with database.reading() as transaction:
            assert claiming.has_work(transaction, claimant(at_hand)) is able
    other = submit(database)
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant(NOTHING))
    assert lease is not None
    assert lease.job_id == other


def test_a_job_that_is_worked_on_or_has_ended_waits_for_nobody(database):
    job_id = submit(database)
    with database.transaction() as transaction:
        assert claiming.claim(transaction, Claimant("w", MODELS, DATASETS, Sizes(4, 64), 30.0, 5))
    assert warnings(database, job_id) == []
    ended = submit(database)
    with database.transaction() as transaction:
        transaction.execute(sa.update(job_table).values(state="cancelled"))
    assert warnings(database, ended) == []


def test_many_machines_are_not_all_named(database):
    job_id = submit(database, model={"kind": "lab"})
    for number in range(7):
        start(database, f"w-{number}", f"host-{number}")
    assert "; and 3 more like them." in warnings(database, job_id)[0]


def test_a_job_that_every_live_worker_leaves_says_why_until_one_reads_it(database):
    job_id, other = submit(database), submit(database)
    claimant = Claimant("w-1", MODELS, DATASETS, Sizes(4, 64), 30.0, 5)
    rewrite(database, job_id, plan={"tomorrow": 1})  # a newer release has planned it
    start(database, "w-1")
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant)
        assert lease is not None
        assert lease.job_id == other
        fleet.see_worker(transaction, "w-1", unreadable=claimant.known.told())
    with database.reading() as transaction:
        (told,) = lookups.find_job(transaction, job_id).warnings
        assert lookups.find_job(transaction, other).warnings == []
    assert "a worker on gpu-1 (release 0.9) says" in told
    assert "can't read the job's plan: lambda: is required" in told
    assert told.endswith(waiting.UPGRADE)
    start(database, "w-2", "gpu-2")
    with database.reading() as transaction:
        assert lookups.find_job(transaction, job_id).warnings == []
