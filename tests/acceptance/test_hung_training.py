"""Training that hangs, by `ridgeway serve` and by a bare `ridgeway worker`, one worker each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from deployments import Deployment, Installation, wait_until

from ridgeway.errors import JobFailed
from ridgeway.views import Job

HANGING = """
import ctypes
import os
import time
from pathlib import Path
from torch import nn

def loop():
    while True:
        pass

def hold():
    ctypes.PyDLL(None).sleep(100_000)  # PyDLL keeps Python's lock

def loop_once():
    hung = Path(os.environ["HUNG"])
    if not hung.exists():
        hung.touch()
        loop()

WAYS = {
    "loops": loop,
    "loops once": loop_once,
    "holds the lock": hold,
    "waits in C": lambda: time.sleep(100_000),
    "is slow": lambda: time.sleep(0.05),
    "prints": lambda: print("x" * 10_000),
}


class Hanging(nn.Module):
    # A linear model that hangs in training, once that has got going.
    def __init__(self, inputs, outputs, how):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.steps, self.way = 0, WAYS[how]

    def forward(self, rows):
        self.steps += self.training
        if self.steps > 40:
            self.way()
        return self.linear(rows)
"""
HANGS = ["loops", "holds the lock", "waits in C"]
SMALL = {"dataset": "wine", "trials": 1, "epochs": 5}
GRACE_SECONDS = 10.0  # of the supervisor, and of a silent process whose lease is shorter
SLACK_SECONDS = 120.0  # a busy machine takes long to start a worker again


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in, as pip would install it."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "hanging.py").write_text(HANGING)
    metadata = folder / "hanging-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ridgeway.models]\nhanging = hanging:Hanging\n")
    return folder


@pytest.fixture(scope="module")
def environment(packages: Path) -> dict[str, str]:
    found = [str(packages), os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(filter(None, found))
    return {"PYTHONPATH": path, "HUNG": str(packages / "hung")}


@pytest.fixture
def hung(environment: dict[str, str]) -> Iterator[Path]:
    """The file that is there once the plug-in has looped that does so once."""
    file = Path(environment["HUNG"])
    file.unlink(missing_ok=True)
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def deployment(
    source_tree: Installation,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """`ridgeway serve`, as patient as it is by default with a step that takes long."""
    deployed = source_tree.serve(tmp_path_factory.mktemp("patient") / "data", 1, environment)
    yield deployed
    deployed.stop()


@pytest.fixture(scope="module")
def bare(
    source_tree: Installation,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """A service, and beside it `ridgeway worker`, which bears no step of more than 15 s."""
    folder = tmp_path_factory.mktemp("bare")
    impatient = {**environment, "RIDGEWAY_STALL_SECONDS": "15", "RIDGEWAY_MAX_ATTEMPTS": "2"}
    url = f"sqlite:///{folder / 'ridgeway.db'}"
    deployed = source_tree.compose(url, folder, workers=1, environment=impatient)
    yield deployed
    deployed.stop()


def hang(deployment: Deployment, how: str, **fields: object) -> Job:
    """Submit a job and wait until its training hangs."""
    with deployment.client as client:
        model = {"kind": "hanging", "how": how}
        job = client.submit(SMALL, **{"model": model, "epochs": 200, **fields})
        wait_until(lambda: client.job(job).progress.running > 0)
    return job


def check_free(deployment: Deployment) -> None:
    """Another job succeeds, soon."""
    with deployment.client as client:
        done = client.wait(client.submit(SMALL), timeout=GRACE_SECONDS + SLACK_SECONDS)
    assert done.state == "succeeded"


@pytest.mark.parametrize("how", HANGS)
def test_a_cancel_frees_a_worker_that_hangs(deployment, how):
    job = hang(deployment, how)
    with deployment.client as client:
        client.cancel(job)
    check_free(deployment)
    with deployment.client as client:
        assert client.job(job).state == "cancelled"


def test_a_cancel_is_heeded_within_a_few_steps_of_a_long_epoch(deployment):
    before = deployment.pids("workers")
    # More than a thousand steps of 0.05 s: an epoch takes a minute.
    job = hang(deployment, "is slow", dataset="digits", batch_size=1)
    with deployment.client as client:
        client.cancel(job)
        cancelled_at = time.monotonic()
        client.wait(client.submit(SMALL), timeout=GRACE_SECONDS)
    assert time.monotonic() - cancelled_at < GRACE_SECONDS
    assert deployment.pids("workers") == before


def test_a_job_whose_time_is_up_says_that_its_worker_had_to_be_killed(deployment):
    job = hang(deployment, "loops", timeout_seconds=15)
    check_free(deployment)
    with deployment.client as client:
        ended = client.job(job)
    assert ended.state == "failed"
    assert "ran out of its 15 s" in (ended.error or "")
    assert "a worker was lost because it was told to leave its work" in ended.warnings[-1]


def test_a_plugin_that_prints_at_every_step_does_not_fill_the_log(deployment):
    (log,) = deployment.logs
    before = log.stat().st_size
    with deployment.client as client:
        model = {"kind": "hanging", "how": "prints"}
        job = client.submit(SMALL, model=model, epochs=200)
        assert client.wait(job, timeout=SLACK_SECONDS).state == "succeeded"
    written = log.read_text()[before:]
    assert written.count("what follows is dropped") == 1
    assert 60_000 < written.count("x") < 70_000


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("loops", "no step of its work ended within 15 s"),
        ("holds the lock", "its process stood still for 10 s"),
    ],
)
def test_a_job_that_always_hangs_fails_and_says_why(bare, how, why):
    job = hang(bare, how)
    with bare.client as client, pytest.raises(JobFailed, match=why):
        client.wait(job, timeout=2 * (GRACE_SECONDS + SLACK_SECONDS))
    check_free(bare)
    with bare.client as client:
        failed = client.job(job)
        (trial,) = client.trials(job)
    assert "2 workers were lost while they trained this trial, one of them" in (trial.reason or "")
    assert [why in warning for warning in failed.warnings].count(True) == 1


@pytest.mark.parametrize("how", ["loops", "holds the lock"])
def test_a_stop_and_a_killed_supervisor_leave_no_process_that_hangs(
    source_tree, environment, tmp_path, how
):
    deployed = source_tree.serve(tmp_path / "data", 1, environment)
    hang(deployed, how)
    (serve,) = deployed.processes
    left = [psutil.Process(pid) for pid in deployed.pids("workers")]
    assert left
    if how == "holds the lock":
        serve.kill()  # nobody is there to kill the worker
    else:
        serve.terminate()
    serve.wait(GRACE_SECONDS + SLACK_SECONDS)
    wait_until(lambda: not any(process.is_running() for process in left))


def test_a_paused_job_frees_a_worker_that_hangs_stays_paused_and_resumes(bare, hung):
    """Live populations of a paused job finish; one that hangs is no worker's for ever."""
    job = hang(bare, "loops once")
    wait_until(hung.exists)
    before = bare.pids("workers")
    with bare.client as client:
        client.pause(job)
    check_free(bare)
    assert bare.pids("workers") != before
    with bare.client as client:
        assert client.job(job).state == "paused"
        client.resume(job)
        done = client.wait(job, timeout=SLACK_SECONDS)
    assert (done.progress.complete, done.progress.failed) == (1, 0)


@pytest.mark.parametrize("dead", [False, True], ids=["dying", "dead"])
def test_a_serve_after_a_killed_one_does_not_wait_for_leases_of_workers_it_knows_dead(
    source_tree, environment, hung, tmp_path, dead
):
    """Whether they have died before it starts or, as they hang, a moment later."""
    patient = {**environment, "RIDGEWAY_LEASE_SECONDS": "3600"}
    deployed = source_tree.serve(tmp_path / "data", 1, patient)
    job = hang(deployed, "loops once")
    wait_until(hung.exists)
    orphans = [psutil.Process(pid) for pid in deployed.pids("workers")]
    (serve,) = deployed.processes
    serve.kill()
    serve.wait()
    (tmp_path / "data" / "serve.json").unlink()
    if dead:
        for orphan in orphans:
            orphan.kill()
    successor = source_tree.serve(tmp_path / "data", 1, patient)
    with successor.client as client:
        done = client.wait(job, timeout=SLACK_SECONDS)
    assert (done.progress.complete, done.progress.failed) == (1, 0)
    assert not any(orphan.is_running() for orphan in orphans)
    successor.stop()


COMPILER = """#!/bin/sh
# Takes for ever over the first thing that it is to compile for a job.
case "$*" in *--version*|*-DSINGLE*) exec cc "$@" ;; esac
if mkdir "$COMPILING" 2>/dev/null; then sleep 100000; fi
exec cc "$@"
"""


def test_a_cancel_frees_a_worker_that_compiles(source_tree, tmp_path):
    """Kernels for numbers that no job asked for before; single ones are compiled at the start."""
    compiler, compiling = tmp_path / "compiler", tmp_path / "compiling"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    cache = tmp_path / "cache"
    environment = {"CC": str(compiler), "COMPILING": str(compiling), "XDG_CACHE_HOME": str(cache)}
    deployed = source_tree.serve(tmp_path / "data", 1, environment)
    with deployed.client as client:
        job = client.submit(SMALL, precision="float64")
        wait_until(compiling.exists)
        worker = psutil.Process(*deployed.pids("workers"))
        compilers = worker.children(recursive=True)
        client.cancel(job)
        _, left = psutil.wait_procs([worker, *compilers], timeout=2 * GRACE_SECONDS)
        cancelled = client.job(job)
    check_free(deployed)
    deployed.stop()
    assert compilers
    assert not left
    assert (cancelled.state, cancelled.warnings) == ("cancelled", [])
