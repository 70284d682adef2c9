"""A job that no live worker can take says so, names who lacks what, and stops when one can."""

from __future__ import annotations

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
from ridgeway.jobs import claiming, lookups, waiting
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.jobs.sizes import Sizes
from ridgeway.settings import Settings
from ridgeway.spec.names import PENALTY_NAMES
from ridgeway.spec.wording import parse_spec

MODELS, DATASETS = frozenset({"mlp", "linear"}), frozenset({"digits"})


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


def test_an_uploaded_data_set_is_every_worker_s(database, tmp_path):
    start(database, "w")
    file = tmp_path / "mill.csv"
    file.write_text("a,b\n1,2\n3,4\n5,7\n")
    settings = Settings(data=tmp_path)
    catalogue.ingest(database, Store.of(settings), settings, file, "mill")
    with database.transaction() as transaction:
        dataset_id = transaction.execute(sa.select(dataset_table.c.id)).scalar_one()
        spec = parse_spec({"dataset": "mill"})
        job_id = submit_job(transaction, spec, dataset_id=dataset_id)
    assert warnings(database, job_id) == []


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
