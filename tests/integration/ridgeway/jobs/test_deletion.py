"""An ended job is deleted: gone at once and whole, whatever is killed meanwhile; others stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages._rdb.models import BaseModel as OptunaTables
from optuna.trial import FrozenTrial, TrialState, create_trial
from strange import of_tomorrow
from submitting import submit

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import deleted_jobs, jobs, leases, metadata
from ridgeway.errors import Conflict, LeaseLost, NotFound
from ridgeway.jobs import artifacts, claiming, deletion, holding, lifecycle, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.study import questions, writing

OUR_TABLES = [table for table in metadata.tables.values() if table.name != "workers"]
OPTUNA_TABLES = [t for t in OptunaTables.metadata.tables.values() if t.name != "version_info"]
MODEL = "model.safetensors"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def finished_trial() -> FrozenTrial:
    space = {
        "penalty": CategoricalDistribution(("l1",)),
        "lambda": FloatDistribution(1e-6, 1.0, log=True),
    }
    return create_trial(
        state=TrialState.COMPLETE,
        value=0.5,
        params={"penalty": "l1", "lambda": 0.1},
        distributions=space,
        intermediate_values={1: 0.7, 2: 0.5},
        user_attrs={"standard_error": 0.1},
    )


def ended_job(database: Database, store: Store, trials: int = 3, **fields: Any) -> str:
    """A cancelled job with trials, a lease, a model and a checkpoint of its own."""
    job_id = submit(database, **fields)
    address = f"jobs/{job_id}/1-1/{MODEL}"
    kept = artifacts.Artifact(address, store.put(address, b"weights"), 7)
    store.put(f"jobs/{job_id}/checkpoints/1-1-ab.safetensors", b"half")
    with database.transaction() as transaction:
        writing.add_trials(transaction, study_of(transaction, job_id), [finished_trial()] * trials)
        artifacts.replace_artifacts(transaction, job_id, {MODEL: kept}, 0.0)
        transaction.execute(
            sa.insert(leases).values(
                job_id=job_id,
                kind="population",
                state="done",
                ordinal=0,
                size=trials,
                first_number=0,
                fence=1,
                attempts=1,
                expires_at=0.0,
                created_at=0.0,
            )
        )
        lifecycle.cancel_job(transaction, job_id)
    return job_id


def study_of(transaction: sa.Connection, job_id: str) -> int:
    return lookups.study_of(transaction, job_id)


def rows(database: Database) -> dict[str, int]:
    """How many rows each table has, of those that have any."""
    with database.reading() as transaction:
        counts = {
            table.name: transaction.execute(
                sa.select(sa.func.count()).select_from(table)
            ).scalar_one()
            for table in (*OUR_TABLES, *OPTUNA_TABLES)
        }
    return {name: count for name, count in counts.items() if count}


def delete(database: Database, job_id: str) -> None:
    with database.transaction() as transaction:
        deletion.delete_job(transaction, job_id)


def sweep(database: Database, store: Store) -> int:
    """Delete what is left; in how many turns."""
    turns = 0
    while deletion.delete_some(database, store):
        turns += 1
    return turns


def test_nothing_is_left_of_a_deleted_job_and_all_of_the_others(database, store):
    kept = ended_job(database, store)
    before = rows(database)
    job_id = ended_job(database, store)
    delete(database, job_id)
    sweep(database, store)
    assert rows(database) == before
    assert [entry.key.split("/")[1] for entry in store.entries("jobs")] == [kept] * 2
    with database.reading() as transaction:
        assert len(questions.complete_values(transaction, study_of(transaction, kept))) == 3


def test_it_is_gone_for_everybody_before_its_trials_are(database, store):
    job_id = ended_job(database, store)
    delete(database, job_id)
    with database.reading() as transaction:
        for look in (
            lambda: lookups.find_job(transaction, job_id),
            lambda: artifacts.find_artifact(transaction, job_id, MODEL),
        ):
            with pytest.raises(NotFound):
                look()
        assert questions.find_study(transaction, job_id) is None
    with pytest.raises(NotFound):
        delete(database, job_id)


@pytest.mark.parametrize("verb", [None, lifecycle.pause_job])
def test_a_job_that_has_not_ended_must_be_cancelled_first(database, verb):
    job_id = submit(database)
    if verb is not None:
        with database.transaction() as transaction:
            verb(transaction, job_id)
    with pytest.raises(Conflict, match="cancel it first"):
        delete(database, job_id)
    with database.reading() as transaction:
        assert lookups.find_job(transaction, job_id).id == job_id


def test_a_job_of_another_release_is_deleted_too(database, store):
    job_id = ended_job(database, store)
    of_tomorrow(database, job_id)
    delete(database, job_id)
    sweep(database, store)
    assert rows(database) == {}


def test_what_another_job_has_learned_from_it_stays(database, store):
    search = {"penalty": "l1", "lambda": {"low": 1e-6, "high": 1.0, "log": True}}
    alike = {"optimizer": "exact", "model": {"kind": "linear"}, "search": search}
    job_id = ended_job(database, store, **alike)
    pupil = submit(database, **alike, warm_start={"job": job_id})
    delete(database, job_id)
    sweep(database, store)
    with database.reading() as transaction:
        learned = questions.complete_values(transaction, study_of(transaction, pupil))
    assert len(learned) == 3


def test_a_large_study_is_deleted_in_slices(database, store, monkeypatch):
    monkeypatch.setattr(deletion, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(deletion, "FEW", 10)
    job_id = ended_job(database, store, trials=95)
    delete(database, job_id)
    assert rows(database)["trials"] == 95
    for left in range(85, 0, -10):
        assert deletion.delete_some(database, store)
        assert rows(database).get("trials", 0) == left
    assert sweep(database, store) == 1
    assert rows(database) == {}


def test_who_still_trains_for_a_deleted_job_touches_no_lease_of_another(database, store):
    claimant = Claimant("w", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 64), 30.0, 5)
    job_id = submit(database)
    with database.transaction() as transaction:
        stale = claiming.claim(transaction, claimant)
        assert stale is not None
        lifecycle.cancel_job(transaction, job_id)
        deletion.delete_job(transaction, job_id)
    sweep(database, store)
    submit(database)
    with database.transaction() as transaction:
        fresh = claiming.claim(transaction, claimant)
        assert fresh is not None
        holding.record_checkpoint(transaction, fresh, "jobs/ours")
    if database.embedded:
        assert (fresh.id, fresh.fence) == (stale.id, stale.fence), "SQLite gives no id again"
    for write in (
        lambda t: holding.renew(t, stale, 30.0),
        lambda t: holding.record_checkpoint(t, stale, "jobs/theirs"),
    ):
        with database.transaction() as transaction, pytest.raises(LeaseLost):
            write(transaction)
    with database.transaction() as transaction:
        holding.release(transaction, stale)
        assert holding.forget_checkpoint(transaction, stale) is None
        [lease] = transaction.execute(sa.select(leases)).all()
    assert (lease.state, lease.checkpoint) == ("running", "jobs/ours")


def test_a_sweeper_that_is_overtaken_touches_no_study_that_has_the_id_now(
    database, store, monkeypatch
):
    """It is stopped before its last transaction; then another ends it, and a job is submitted."""
    delete(database, ended_job(database, store))
    delete_files, later = deletion._delete_files, []

    def overtaken(*arguments: Any) -> None:
        monkeypatch.setattr(deletion, "_delete_files", delete_files)
        sweep(database, store)
        later.append(ended_job(database, store))

    monkeypatch.setattr(deletion, "_delete_files", overtaken)
    sweep(database, store)
    with database.reading() as transaction:
        study_id = study_of(transaction, later[0])
        assert questions.find_study(transaction, later[0]) == study_id
        assert len(questions.complete_values(transaction, study_id)) == 3


# --- killed at any statement ------------------------------------------------------------------


class Killed(BaseException):
    """As a process is: nothing after it runs, and the database rolls back."""


@contextmanager
def killed_at(database: Database, statement: int) -> Iterator[list[int]]:
    """Kill whoever runs the statement of that number, counted from 0; counts those that ran."""
    ran = [0]

    def strike(*_: Any) -> None:
        if ran[0] == statement:
            raise Killed()
        ran[0] += 1

    sa.event.listen(database.engine, "before_cursor_execute", strike)
    try:
        yield ran
    except Killed:
        pass
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", strike)


def seen(database: Database, job_id: str) -> tuple[bool, bool, bool]:
    """Whether there are the job, its study and its model, as far as anybody can tell."""
    with database.reading() as transaction:
        there = transaction.execute(sa.select(jobs.c.id).where(jobs.c.id == job_id)).first()
        study = questions.find_study(transaction, job_id)
        model = transaction.execute(sa.select(metadata.tables["artifacts"])).first()
    return there is not None, study is not None, model is not None


def test_killed_at_any_statement_it_is_whole_or_gone_and_the_next_sweep_ends_it(database, store):
    for statement in range(100):
        job_id = ended_job(database, store)
        with killed_at(database, statement) as ran:
            delete(database, job_id)
            sweep(database, store)
        assert seen(database, job_id) in ((True,) * 3, (False,) * 3)
        finished = ran[0] < statement
        if seen(database, job_id)[0]:
            delete(database, job_id)
        sweep(database, store)
        assert rows(database) == {}
        assert store.entries("jobs") == []
        if finished:
            assert statement > 10
            return
    raise AssertionError("it never came to an end")


def test_files_that_can_not_be_deleted_now_hold_nothing_up(database, store, monkeypatch, caplog):
    job_id = ended_job(database, store)
    delete(database, job_id)

    def refuse(*_: object) -> None:
        raise OSError("permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(store._files, "rm_file", refuse)
        sweep(database, store)
    assert rows(database) == {}
    assert f"files of job {job_id} stay in the store for now" in caplog.text
    with database.reading() as transaction:
        assert transaction.execute(sa.select(deleted_jobs)).first() is None
