"""Measure how many workers one PostgreSQL serves: claims, writes, heartbeats; training sleeps.

Each of 1, 10, 100 and 1,000 simulated workers does all that a worker does with the database, by the
functions that workers use. Columns:

workers, offered   workers; populations a second if the database took no time
pops/s, trials/s   populations and trials finished a second
claim, finish      milliseconds of a claim and of writing a population's results, p50 and p99; of
                   threads that share a few processes, whose turns they wait for too
conns              connections to the server, at most
cpu, lock          connections that were found computing, and waiting for a lock, on average;
disk, client       writing to the disk or waiting for who does, and idle inside a transaction
db ms/pop          the server's processor time for each population, heartbeats and polls included
db s/1k, us s/1k   seconds of processor time for 1,000 trials: the server's, and that of the workers
lost               leases lost

At the end the job is answered, and what must hold of it is checked: every trial counted once.

--idle measures workers without a job instead: polls a second, the server's processor time, and how
soon after a job was submitted the first and the last of them have work.

Run: python benchmarks/scale.py [--workers 100] [--train 2] [--jobs 4] [--alone] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from scale_fleet import Conduct, Record, run_fleet
from scale_server import Waits, pooler, processor_seconds, server

from ridgeway.data.bundled import BUNDLED
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.jobs import claiming, holding, lifecycle
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import BY_DEVICE
from ridgeway.spec.wording import parse_spec

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))
from invariants import check
from simulated import recommended

CONTEXT = multiprocessing.get_context("spawn")
TRIALS = 1_000_000  # more than any run gets to
COLUMNS = (
    *("workers", "offered", "pops/s", "trials/s", "claim p50", "claim p99", "finish p50"),
    *(
        "finish p99",
        "conns",
        "cpu",
        "lock",
        "disk",
        "client",
        "db ms/pop",
        "db s/1k",
        "us s/1k",
        "lost",
    ),
)
IDLE_COLUMNS = ("workers", "polls/s", "db cores", "first ms", "half ms", "last ms", "conns")


def main() -> None:
    """Print a line for each number of workers."""
    asked = _arguments()
    columns = IDLE_COLUMNS if asked.idle else COLUMNS
    if not asked.json:
        print("".join(f"{name:>11}" for name in columns), flush=True)
    settings = {"max_connections": "1300", "shared_buffers": "512MB"}
    settings |= dict(each.split("=", 1) for each in asked.set)
    for workers in asked.workers or [1, 10, 100, 1000]:
        with server(settings) as (url, pid):
            row = (_idle if asked.idle else _busy)(url, pid, workers, asked)
        if asked.json:
            print(json.dumps(row), flush=True)
        else:
            print("".join(f"{row[name]:>11.4g}" for name in columns), flush=True)


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("--workers", type=int, action="append", help="default: 1, 10, 100 and 1,000")
    add("--seconds", type=float, default=20.0, help="that are measured, after a warm-up")
    add("--train", type=float, default=2.0, help="seconds for which a population sleeps")
    add("--jobs", type=int, default=1, choices=range(1, len(BUNDLED) + 1))
    add("--sampler", default="random", choices=("random", "tpe", "qmc", "grid"))
    add("--reports", type=int, default=4, help="of each trial")
    add("--processes", type=int, default=2, help="that simulate the workers")
    add("--connections", type=int, help="of each process; default: one a worker")
    add("--pooler", metavar="PGBOUNCER", help="the program, to go before the server")
    add("--alone", action="store_true", help="each asks as often as if it were alone")
    add("--always-mirror", action="store_true", help="for samplers that learn nothing, too")
    add("--idle", action="store_true", help="measure workers that have nothing to do")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="of the server")
    add("--json", action="store_true", help="one JSON object a line")
    return options.parse_args()


@contextmanager
def _fleet(url: str, workers: int, asked: Any) -> Iterator[tuple[Database, Any]]:
    """Yield the database, and a running fleet's processes, barrier, and queue of results."""
    direct = Database(url)
    migrate(direct)
    conduct = Conduct(
        asked.train, asked.reports, BUNDLED[: asked.jobs], asked.alone, asked.always_mirror
    )
    processes = min(workers, asked.processes)
    together, results = CONTEXT.Barrier(processes + 1, timeout=600), CONTEXT.Queue()
    between = pooler(asked.pooler, sa.make_url(url)) if asked.pooler else nullcontext((None, 0))
    with between as (pooled, _):
        running = []
        for part in range(processes):
            numbers = range(part, workers, processes)
            options: dict[str, Any] = {"url": url, "connections": asked.connections or len(numbers)}
            if pooled is not None:
                options |= {"url": pooled.render_as_string(hide_password=False), "pooled": True}
            process = CONTEXT.Process(
                target=run_fleet, args=(numbers, options, conduct, together, results)
            )
            process.start()
            running.append(process)
        together.wait()
        yield direct, (running, together, results)
        for process in running:
            process.join()
    direct.close()


def _busy(url: str, pid: int, workers: int, asked: Any) -> dict[str, float]:
    with _fleet(url, workers, asked) as (database, (running, together, results)):
        jobs = [_submit(database, dataset, asked.sampler) for dataset in BUNDLED[: asked.jobs]]
        # The first populations are small: it begins when their sizes are those of the others.
        while _populations(database) < 8 * len(jobs) + workers:
            time.sleep(0.25)
        with Waits(url) as waits:
            before, ours, began = processor_seconds(pid), _spent(running), time.time()
            time.sleep(asked.seconds)
            ended, spent, own = time.time(), processor_seconds(pid) - before, _spent(running) - ours
        together.wait()
        seen = _together([results.get() for _ in running])
        for job in jobs:
            _answer(database, job)
            check(database, job, ended_early=True)
    inside = _within(seen, began, ended)
    return _row(inside, workers, asked.train, ended - began, spent, own) | {
        "conns": waits.most,
        "cpu": waits.mean("CPU"),
        "lock": waits.mean("Lock"),
        "disk": waits.mean("IO") + waits.mean("LWLock"),
        "client": waits.mean("idle in transaction"),
    }


def _row(
    seen: Record, workers: int, train: float, seconds: float, spent: float, own: float
) -> dict[str, float]:
    populations, trials = len(seen.sizes), sum(size for _, size in seen.sizes)
    claims, finishes = ([each for _, each in taken] for taken in (seen.claims, seen.finishes))
    for trouble in seen.troubles[:5]:
        print(trouble, file=sys.stderr)
    return {
        "workers": workers,
        "offered": workers / train,
        "pops/s": populations / seconds,
        "trials/s": trials / seconds,
        "claim p50": _percentile(claims, 0.5),
        "claim p99": _percentile(claims, 0.99),
        "finish p50": _percentile(finishes, 0.5),
        "finish p99": _percentile(finishes, 0.99),
        "db ms/pop": 1000 * spent / max(1, populations),
        "db s/1k": 1000 * spent / max(1, trials),
        "us s/1k": 1000 * own / max(1, trials),
        "lost": seen.lost + len(seen.troubles),
    }


def _idle(url: str, pid: int, workers: int, asked: Any) -> dict[str, float]:
    with _fleet(url, workers, asked) as (database, (running, together, results)):
        time.sleep(5)
        with Waits(url) as waits:
            before, began = processor_seconds(pid), time.time()
            time.sleep(asked.seconds)
            spent, ended = processor_seconds(pid) - before, time.time()
        submitted = time.time()
        job = _submit(database, BUNDLED[0], asked.sampler)
        time.sleep(8)
        together.wait()
        seen = _together([results.get() for _ in running])
        _answer(database, job)
        check(database, job, ended_early=True)
    taken = sorted(when - submitted for when, _ in seen.claims)
    return {
        "workers": workers,
        "polls/s": sum(began <= when < ended for when in seen.polls) / (ended - began),
        "db cores": spent / (ended - began),
        "first ms": 1000 * taken[0],
        "half ms": 1000 * taken[min(len(taken) - 1, workers // 2)],
        "last ms": 1000 * taken[min(len(taken), workers) - 1],
        "conns": waits.most,
    }


def _submit(database: Database, dataset: str, sampler: str) -> str:
    asked = {"dataset": dataset, "model": {"kind": "mlp"}, "trials": TRIALS, "sampler": sampler}
    with database.transaction() as transaction:
        return lifecycle.submit_job(transaction, parse_spec(asked))


def _answer(database: Database, job: str) -> None:
    """End the job's search and answer it, as its owner and the last worker do."""
    claimant = Claimant("last", frozenset({"mlp"}), frozenset(BUNDLED), BY_DEVICE["cpu"], 30.0, 5)
    with database.transaction() as transaction:
        lifecycle.answer_job(transaction, job)
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant)
        assert lease is not None, "nothing was open any more"
        holding.finish_answer(transaction, lease, recommended(), {})


def _populations(database: Database) -> int:
    with database.reading() as look:
        return look.execute(sa.text("SELECT sum(populations) FROM jobs")).scalar_one()


def _spent(running: Sequence[Any]) -> float:
    return sum(processor_seconds(process.pid) for process in running)


def _together(records: Sequence[Record]) -> Record:
    """Return what all processes have seen."""
    made = Record()
    for each in records:
        for name in ("claims", "finishes", "sizes", "polls", "troubles"):
            getattr(made, name).extend(getattr(each, name))
        made.lost += each.lost
    return made


def _within(seen: Record, began: float, ended: float) -> Record:
    """Return what happened between two moments; what was lost counts whenever it was."""
    kept = {
        name: [each for each in getattr(seen, name) if began <= each[0] < ended]
        for name in ("claims", "finishes", "sizes")
    }
    return replace(seen, **kept)


def _percentile(seconds: Sequence[float], part: float) -> float:
    """Return a percentile in milliseconds; nan of nothing."""
    if not seconds:
        return float("nan")
    return 1000 * sorted(seconds)[int(part * len(seconds))]


if __name__ == "__main__":
    main()
