"""A whole job in this process: workers beside it, interruption, what is left."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, closing, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pytest
from light import lighten

from ridgeway.data.tables import canonical_table
from ridgeway.database.engine import Database
from ridgeway.errors import InvalidInput, JobFailed
from ridgeway.local.folder import opened
from ridgeway.local.job import Finished, Rows, run
from ridgeway.local.working import Crew
from workers.inprocess import worker_here

FEW = {"model": {"kind": "linear"}, "trials": 3}
TRANSACTION = Database.transaction.__wrapped__.__code__  # type: ignore[attr-defined]


@pytest.fixture(scope="module", autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        lighten(patch)
        yield


def rows(count: int = 100) -> Rows:
    x = np.random.default_rng(0).normal(size=(count, 2))
    columns = {"a": x[:, 0], "b": x[:, 1], "y": x @ [1, 2]}
    return Rows("lines", canonical_table(pa.table(columns)))


def children() -> list[str]:
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()


@contextmanager
def interrupted_when_busy(folder: Path) -> Iterator[None]:
    """Send SIGINT to this process once a job below the folder has a complete trial."""

    def watch() -> None:
        _wait_for(lambda: any(_has_complete_trials(file) for file in folder.rglob("ridgeway.db")))
        os.kill(os.getpid(), signal.SIGINT)

    # A shell has what it starts in the background ignore interrupts, tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    watcher.join()
    signal.signal(signal.SIGINT, before)


def states(folder: Path) -> list[str]:
    with opened(folder) as place, place.database.reading() as transaction:
        return list(transaction.exec_driver_sql("SELECT state FROM jobs").scalars())


def _has_complete_trials(file: Path) -> bool:
    with closing(sqlite3.connect(file)) as connection, suppress(sqlite3.OperationalError):
        (count,) = connection.execute("SELECT sum(complete) FROM jobs").fetchone()
        return bool(count)
    return False


def test_other_processes_share_the_job_and_end_with_it() -> None:
    before = children()
    done = run(rows(), {**FEW, "trials": 60}, Crew(processes=2))
    assert done.job.progress.complete == 60
    assert children() == before


def test_nobody_can_be_told_of_the_end_of_a_job_without_a_service() -> None:
    with pytest.raises(InvalidInput, match=r"notify: .*; accepted: \[\]"):
        run(rows(), {**FEW, "notify": [{"url": "https://hooks.example"}]}, Crew())


def test_an_interrupt_ends_all_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    threads, processes = threading.active_count(), children()
    with interrupted_when_busy(tmp_path):
        run(rows(), {**FEW, "trials": 1_000_000}, Crew(bar=True, processes=2))
    assert list(tmp_path.iterdir()) == []
    assert children() == processes
    assert threading.active_count() == threads
    assert run(rows(), FEW, Crew()).job.state == "succeeded"  # and this process goes on


def test_an_interrupted_job_of_a_kept_folder_is_cancelled(tmp_path: Path) -> None:
    with interrupted_when_busy(tmp_path):
        run(rows(), {**FEW, "trials": 1_000_000}, Crew(), tmp_path)
    assert states(tmp_path) == ["cancelled"]


def test_who_waits_for_another_threads_worker_can_be_interrupted() -> None:
    asked: list[None] = []

    def heed() -> None:
        asked.append(None)
        raise KeyboardInterrupt

    with opened(None) as place:
        given = place.database, place.store, place.settings, "cpu"
        with worker_here(*given, lambda: None), pytest.raises(KeyboardInterrupt):
            worker_here(*given, heed).__enter__()
    assert asked


def test_an_interrupt_as_a_transaction_begins_leaves_no_lock(tmp_path: Path) -> None:
    """There nobody could end the transaction while the interrupt's own traceback lives."""
    entering = _GeneratorContextManager.__enter__.__code__
    begun = 0

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal begun
        if event != "return" or frame.f_code is not entering:
            return
        begun += frame.f_locals["self"].gen.gi_code is TRANSACTION
        if begun == 3:  # the job is submitted, its worker known, and a population claimed
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setprofile(profile)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(rows(), {**FEW, "trials": 1_000_000}, Crew(), tmp_path)
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGINT, before)
    assert states(tmp_path) == ["cancelled"]


def test_a_job_without_a_complete_trial_fails_in_its_own_words() -> None:
    huge = {"learning_rate": 1e3, "weight_decay": 0}
    fields = {**FEW, "optimizer": "sgd", "search": {**huge, "penalty": "none"}}
    with pytest.raises(JobFailed, match="None of the 3 trials was complete"):
        run(rows(), fields, Crew())


def test_a_job_learns_from_one_in_the_same_folder(tmp_path: Path) -> None:
    first = run(rows(), FEW, Crew(), tmp_path)
    second = run(rows(), {**FEW, "warm_start": {"job": first.job.id}}, Crew(), tmp_path)
    copied = [t for t in second.study().trials if "warm_start" in t.user_attrs]
    assert len(copied) == 3
    assert len(second.trials) == 3


def test_the_study_in_memory_is_the_one_in_the_database(tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "model": {"kind": "mlp", "hidden": [4]},
        "objectives": ["loss", "nonzero_weights"],
        "trials": 4,
        "epochs": 3,
    }
    done: Finished = run(rows(), fields, Crew(), tmp_path)
    stored = optuna.load_study(
        study_name=done.job.id, storage=f"sqlite:///{tmp_path / 'ridgeway.db'}"
    )
    own = done.study()
    assert own.directions == stored.directions
    for mine, theirs in zip(own.trials, stored.trials, strict=True):
        assert mine.values == theirs.values
        assert mine.params == theirs.params
        assert mine.distributions == theirs.distributions
        assert mine.intermediate_values == theirs.intermediate_values
        assert mine.user_attrs == theirs.user_attrs


def test_a_worker_does_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from test_job import *\n"
        "print(flush=True)\n"
        "run(rows(), {**FEW, 'trials': 1_000_000}, Crew(processes=2))\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    worker = _wait_for(lambda: _children_of(process.pid))
    process.kill()
    process.wait()
    process.stdout.close()
    _wait_for(lambda: not any(Path(f"/proc/{each}").exists() for each in worker))


def _children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _wait_for(look: Any) -> Any:
    deadline = time.monotonic() + 200
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
