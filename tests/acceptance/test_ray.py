"""Workers on a Ray cluster that loses an actor, a node, its head, and a node that comes back.

Head and nodes are machines in network namespaces, or addresses of the loopback interface where
those are not allowed (machines.py); all tests share one start of the cluster, and go through its
faults in the order in which they stand here. Seconds of recovery are printed.
"""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databases import create_database, server_at
from deployments import free_port
from invariants import check
from machines import OURS, Machine, Network, network
from ray_clusters import Cluster, machines
from submitting import submit_resolved
from waiting import wait_until

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.database.tables import leases, workers
from ridgeway.jobs import lookups
from ridgeway.jobs.lifecycle import answer_job
from ridgeway.views import Job

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed: pip install 'ridgeway[ray]'",
)

PATIENCE_SECONDS = 300.0  # of a machine that is busy with other work
# Seconds until its trials are in another's hands: 10 and 60 are promised of a quiet machine.
LIMITS = {"an actor": 30.0, "a node": 90.0}
FRESH_SECONDS = 1.0  # of a lease: its population is far from its end
LINEAR: dict[str, Any] = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "optimizer": "adamw",
    "validation": {"kind": "folds", "folds": 2},
    "epochs": 60,
}
# Lasts longer than all of the faults together, and is answered from what it has by then. Each
# population takes some seconds.
LONG = {**LINEAR, "sampler": "random", "trials": 100_000, "epochs": 250}
# Its points are those of one sequence, whoever trains them in whatever populations.
COMPARED = {**LINEAR, "sampler": "qmc", "trials": 600, "priority": 1}


@dataclass(frozen=True)
class Held:
    """A lease in a worker's hands, and the machine of that worker."""

    lease: int
    worker: str
    host: str
    pid: int


@dataclass
class Scene:
    """The cluster, the database that all machines share, and the jobs."""

    cluster: Cluster
    database: Database
    long: str
    recovered: dict[str, float]

    def held(self, machine: Machine, within: float = math.inf) -> list[Held]:
        """What the workers of a machine hold, and have been given within so many seconds."""
        held = sa.select(leases.c.id, workers.c.id, workers.c.host, workers.c.pid).join_from(
            leases, workers, workers.c.id == leases.c.worker_id
        )
        query = held.where(leases.c.state == "running")
        if within < math.inf:
            query = query.where(leases.c.created_at > now() - within)
        with self.database.reading() as transaction:
            found = [Held(*row) for row in transaction.execute(query)]
        return [each for each in found if machine.has(each.host, each.pid)]

    def known(self) -> set[str]:
        """Every worker that ever came to say that it is ready."""
        with self.database.reading() as transaction:
            return {*transaction.execute(sa.select(workers.c.id)).scalars()}

    def job(self, job_id: str) -> Job:
        with self.database.reading() as transaction:
            return lookups.find_job(transaction, job_id)

    def ended(self, job_id: str) -> int:
        progress = self.job(job_id).progress
        return progress.complete + progress.pruned + progress.failed

    def lease(self, held: Held) -> Any:
        """The row of a lease as it is now."""
        with self.database.reading() as transaction:
            return transaction.execute(sa.select(leases).where(leases.c.id == held.lease)).one()

    def moved(self, held: Held) -> bool:
        """Whether another worker has what this one held."""
        row = self.lease(held)
        return row.worker_id != held.worker and row.state in ("running", "done")

    def strike(self, machine: Machine, deed: Callable[[], None]) -> Held:
        """Do a deed to a machine whose worker has begun a population; its lease."""
        (held, *_) = wait_until(lambda: self.held(machine, FRESH_SECONDS), PATIENCE_SECONDS)
        deed()
        return held

    def recovers(self, what: str, since: float, holds: Callable[[], object]) -> None:
        """Wait until it holds, and note how long that took."""
        wait_until(lambda: bool(holds()), PATIENCE_SECONDS)
        self.recovered[what] = time.monotonic() - since
        print(f"{what}: {self.recovered[what]:.1f} s")

    def worker_machine(self) -> Machine:
        """A node with a worker of ours that is ready."""

        def ready() -> list[Machine]:
            return [node for node in self.cluster.nodes if self.held(node)]

        return wait_until(ready, PATIENCE_SECONDS)[0]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def joined() -> Iterator[Network]:
    with network() as joined:
        yield joined


@pytest.fixture(scope="module")
def server(joined: Network) -> Iterator[str]:
    with server_at(joined.host, free_port()) as url:
        yield url


@pytest.fixture(scope="module")
def settings(server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the environment of `ray start` has on each machine."""
    return {
        "RIDGEWAY_DATABASE_URL": migrated(server),
        "RIDGEWAY_STORE_URL": str(tmp_path_factory.mktemp("store")),
        "RIDGEWAY_LEASE_SECONDS": "6",
        "RIDGEWAY_RENEW_SECONDS": "1",
        "RIDGEWAY_BUSY_TIMEOUT_SECONDS": "8",  # for which the locks of who was cut off are held
        "RIDGEWAY_LOG_FORMAT": "text",
    }


@pytest.fixture(scope="module")
def scene(joined: Network, settings: dict[str, str], logs: Path) -> Iterator[Scene]:
    with machines(joined, (2, 3, 4), settings, logs) as (head, *nodes):
        cluster = Cluster(head, nodes)
        cluster.start()
        wait_until(cluster.is_up, PATIENCE_SECONDS)
        cluster.start_engine()
        database = Database(settings["RIDGEWAY_DATABASE_URL"])
        yield Scene(cluster, database, submit_resolved(database, **LONG), {})
        database.close()


@pytest.fixture(autouse=True)
def log_of_a_failure(logs: Path) -> Iterator[None]:
    yield
    for log in sorted(logs.iterdir()):
        print(f"--- {log.name}\n{log.read_text()[-3000:]}")


def migrated(server: str) -> str:
    database = Database(url := create_database(server, "template0"))
    migrate(database)
    database.close()
    return url


def test_a_job_runs_on_both_nodes_share_by_share(scene: Scene):
    started = time.monotonic()
    scene.recovers("the first trials", started, lambda: scene.ended(scene.long) > 0)
    wait_until(lambda: len(scene.known()) == 2, PATIENCE_SECONDS)
    assert sum(len(pids) for pids in scene.cluster.actors("WorkerActor").values()) == 2
    assert scene.cluster.actors("Controller")[scene.cluster.head]


def test_a_killed_actor_is_back_and_its_trials_are_in_hand(scene: Scene):
    machine = scene.worker_machine()
    before = scene.known()

    def kill() -> None:
        for pid in scene.cluster.actors("WorkerActor")[machine]:
            os.kill(pid, signal.SIGKILL)

    held = scene.strike(machine, kill)
    since = time.monotonic()
    # Its worker sees the end of its standard input, and hands back what it is at.
    scene.recovers("an actor", since, lambda: scene.moved(held))
    scene.recovers("another in its place", since, lambda: scene.known() - before)
    assert scene.recovered["an actor"] < LIMITS["an actor"]


def test_a_killed_node_s_workers_are_placed_on_another(scene: Scene):
    machine, before = scene.worker_machine(), scene.known()
    held = scene.strike(machine, machine.kill)
    since = time.monotonic()
    scene.recovers("a node", since, lambda: scene.moved(held))
    scene.recovers("others in place of its", since, lambda: scene.known() - before)
    assert scene.recovered["a node"] < LIMITS["a node"]
    scene.cluster.start_node(machine)
    wait_until(lambda: machine.runs("DashboardAgent"), PATIENCE_SECONDS)


def test_a_node_that_was_cut_off_writes_nothing_when_it_is_back(scene: Scene):
    machine = scene.worker_machine()
    held = scene.strike(machine, machine.cut_off)
    scene.recovers("a node cut off", time.monotonic(), lambda: scene.moved(held))
    cut_off = machine.runs("-m workers")
    assert cut_off
    # Its worker has trained on, and comes with what it found as soon as the database is back. Ray,
    # which would end it there first, is to come later.
    lost = f"lost population {scene.lease(held).ordinal} "
    machine.pause()
    assert lost not in written(machine)
    since = time.monotonic()
    machine.join()
    scene.recovers("what it wrote is refused", since, lambda: lost in written(machine))
    machine.wake()
    # Ray has given the node up: its processes end there, and it joins anew.
    since = time.monotonic()
    scene.recovers("its own end", since, lambda: not cut_off & machine.runs("-m workers"))
    wait_until(lambda: scene.lease(held).state == "done", PATIENCE_SECONDS)
    assert scene.lease(held).fence > 1
    assert scene.lease(held).worker_id != held.worker


def test_the_same_command_goes_on_when_the_head_is_back_and_the_job_ends(
    scene: Scene, server: str, settings: dict[str, str]
):
    compared = submit_resolved(scene.database, **COMPARED)
    wait_until(lambda: scene.ended(compared) > 0, PATIENCE_SECONDS)
    engine, before = scene.cluster.engine, scene.known()
    scene.cluster.head.kill(but=OURS)
    since = time.monotonic()
    time.sleep(3.0)
    scene.cluster.start_head()
    scene.recovers("the head", since, lambda: scene.known() - before)
    wait_until(lambda: scene.job(compared).state == "succeeded", PATIENCE_SECONDS)
    assert engine is not None
    assert engine.poll() is None
    on_ray = check(scene.database, compared)
    assert recommended_of(on_ray) == recommended_of(on_this_machine(server, settings))


def test_nothing_was_lost_or_counted_twice_and_the_command_leaves_nothing_behind(scene: Scene):
    with scene.database.transaction() as transaction:
        answer_job(transaction, scene.long)
    wait_until(lambda: scene.job(scene.long).state == "succeeded", PATIENCE_SECONDS)
    check(scene.database, scene.long, ended_early=True)
    engine = scene.cluster.engine
    assert engine is not None

    def actors() -> int:
        return sum(len(pids) for pids in scene.cluster.actors("WorkerActor").values())

    since = time.monotonic()
    scene.recovers("from two workers to one", since, lambda: actors() == 1)
    (command,) = scene.cluster.head.runs("-P -m ridgeway worker")
    os.kill(command, signal.SIGTERM)
    assert engine.wait(60) == 0
    wait_until(lambda: actors() == 0, PATIENCE_SECONDS)
    assert not any(node.runs("-m workers") for node in scene.cluster.nodes)


def test_a_cluster_that_asks_for_no_token_is_refused(
    joined: Network, settings: dict[str, str], logs: Path
):
    with machines(joined, [5], settings, logs) as (head,):
        cluster = Cluster(head, [])
        cluster.start_head(RAY_AUTH_MODE="disabled")
        wait_until(cluster.is_up, PATIENCE_SECONDS)
        engine = cluster.start_engine()
        assert engine.wait(PATIENCE_SECONDS) == 2
        told = head.log.read_text()
    assert "asks nobody for a token" in told
    assert "CVE-2023-48022" in told


def written(machine: Machine) -> str:
    """What the workers of a machine have logged, which is where Ray has its logs."""
    logs = machine.folder.glob("session_*/logs/worker-*.err")
    return "".join(log.read_text(errors="replace") for log in logs)


def recommended_of(job: Job) -> list[Any]:
    """What a job recommends, but for the numbers of trials, which hang on who came first."""
    assert job.recommended is not None
    trials = (getattr(job.recommended, role) for role in ("simplest", "best", "none"))
    found = [trial and (trial.params, trial.value) for trial in trials]
    assert found[1] is not None
    return [job.recommended.choice, job.recommended.baseline, *found]


def on_this_machine(server: str, settings: dict[str, str]) -> Job:
    """The same job by the engine `local`, on a database of its own."""
    url = migrated(server)
    database = Database(url)
    job_id = submit_resolved(database, **COMPARED)
    command = [sys.executable, "-P", "-m", "ridgeway", "worker", "--processes", "2"]
    environment = {**os.environ, **settings, "RIDGEWAY_DATABASE_URL": url}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as local:

        def ended() -> bool:
            with database.reading() as transaction:
                return lookups.find_job(transaction, job_id).state == "succeeded"

        wait_until(ended, PATIENCE_SECONDS)
        local.terminate()
    done = check(database, job_id)
    database.close()
    return done
