"""Simulate workers that share jobs, event by event, with the service's choice of whose turn it is.

start      of a small job that comes among 50 big ones, at random moments: how long it waits, in
           times of a population (those that workers are at take as long on average), and how many
           claims go before its own; the worst of all
share      of workers' time that keys of weights 1, 2 and 4 get, by weight: 1 is fair
jain       Jain's index over 50 jobs of one key whose populations take 0.2 s to 60 s: 1 is even
useful     share of workers' time that is no set-up, where turning to a job that is not at hand
           takes half a second, and populations 1 s

Times are the simulation's: nothing is trained. `rule=oldest` is how it was: the oldest job first.

Run: python benchmarks/fairness.py [--json] [--measure start] [--workers 8] [--stay 0]
"""

from __future__ import annotations

import heapq
import random
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from rows import Row, parser

from ridgeway.jobs import fairness
from ridgeway.jobs.fairness import Account, Candidate
from ridgeway.jobs.sizes import Sizes, population_size

MEASURES = ("start", "share", "jain", "useful")
WORKERS = (1, 4, 16, 64)
BIG, SMALL = 20_000, 20  # trials
SIZES = Sizes(4, 16)  # trials of a population, at most
AT_HAND = 4  # jobs whose data a worker keeps
SETUP = 0.5  # seconds
RULES = ("fair", "oldest")


@dataclass
class Job:
    """A job as the scheduler sees it, and what its populations take."""

    name: str
    owner: str
    trials: int
    came: float
    seconds: float  # of a full population
    claimed: int = 0
    populations: int = 0
    virtual_time: float = 0.0
    known: float | None = None
    used: float = 0.0
    began_at: float | None = None

    def candidate(self) -> Candidate:
        """Return what the choice goes by."""
        begun, known = self.populations > 0, self.known
        of_it = (self.virtual_time, begun, self.trials, self.came, known)
        return Candidate(self.name, self.owner, 0, *of_it)


@dataclass
class Held:
    """An account's state, as its row keeps it."""

    weight: float
    virtual_time: float | None = None
    reached: float = 0.0
    jobs_reached: float = 0.0
    began: bool = False


@dataclass
class Worker:
    """A worker, and the jobs that it has at hand."""

    at_hand: OrderedDict[str, None] = field(default_factory=OrderedDict)
    last: str | None = None

    def turns_to(self, job: str) -> bool:
        """Return True where the job has to be set up."""
        new = job not in self.at_hand
        self.at_hand[job] = None
        self.at_hand.move_to_end(job)
        while len(self.at_hand) > AT_HAND:
            self.at_hand.popitem(last=False)
        self.last = job
        return new


class Simulation:
    """Workers that claim, take their time, and claim again."""

    def __init__(self, jobs: Sequence[Job], weights: dict[str, float], workers: int, **of: Any):
        self.jobs = {job.name: job for job in jobs}
        self.accounts = {owner: Held(weight) for owner, weight in weights.items()}
        self.random = random.Random(of.get("seed", 0))
        self.rule, self.setup = of.get("rule", "fair"), of.get("setup", 0.0)
        self.workers = [Worker() for _ in range(workers)]
        self.claims: list[tuple[float, str]] = []
        self.spent_on_setup = 0.0

    def run(self, until: float) -> None:
        """Let the time pass; a worker that finds nothing looks again a second later."""
        events: list[tuple[float, int, Any]] = [
            (self.random.random(), index, None) for index in range(len(self.workers))
        ]
        heapq.heapify(events)
        while events[0][0] < until:
            now, index, done = heapq.heappop(events)
            if done is not None:
                self._finish(*done)
            job = self._choose(now, self.workers[index])
            if job is None:
                heapq.heappush(events, (now + 1.0, index, None))
                continue
            took, charged = self._claim(job, now, self.workers[index])
            heapq.heappush(events, (now + took, index, (job, took, charged)))

    def _choose(self, now: float, worker: Worker) -> Job | None:
        waiting = [each for each in self.jobs.values() if each.came <= now and self._left(each)]
        if not waiting:
            return None
        if self.rule == "oldest":
            return min(waiting, key=lambda job: job.came)
        self._seen = [job.candidate() for job in waiting]
        known = {name: self._account(name) for name in {job.owner for job in waiting}}
        turns = fairness.in_turn(self._seen, known, self._reached, worker.last)
        return self.jobs[next(turns).job_id]

    def _left(self, job: Job) -> int:
        return job.trials - job.claimed

    @property
    def _reached(self) -> float:
        return max(held.reached for held in self.accounts.values())

    def _account(self, owner: str) -> Account:
        held = self.accounts[owner]
        return Account(owner, held.weight, held.virtual_time, held.jobs_reached, held.began)

    def _claim(self, job: Job, now: float, worker: Worker) -> tuple[float, float]:
        size = min(self._left(job), population_size(job.trials, SIZES, job.populations))
        setup = self.setup if worker.turns_to(job.name) else 0.0
        share = size / population_size(job.trials, SIZES, 30)
        took = setup + job.seconds * share * self.random.uniform(0.8, 1.2)
        self.spent_on_setup += setup
        if job.began_at is None:
            job.began_at = now
        self.claims.append((now, job.name))
        charged = self._charge(job) if self.rule == "fair" else 0.0
        job.claimed, job.populations = job.claimed + size, job.populations + 1
        return took, charged

    def _charge(self, job: Job) -> float:
        """As ridgeway/jobs/accounts.py does in SQL."""
        held, new = self.accounts[job.owner], job.populations == 0
        charge = job.known or fairness.typical_seconds(self._seen)
        begins = fairness.job_start(job.virtual_time, held.jobs_reached, charge, begun=not new)
        job.virtual_time = begins + charge
        weighed = charge / held.weight
        floor = fairness.start(float("-inf"), self._reached, weighed, held.weight)
        held.reached = max(held.virtual_time or 0.0, floor)
        held.virtual_time = held.reached + weighed
        held.jobs_reached, held.began = max(held.jobs_reached, begins), new
        return charge

    def _finish(self, job: Job, took: float, charged: float) -> None:
        job.used += took
        if self.rule == "fair":
            held = self.accounts[job.owner]
            job.virtual_time += took - charged
            held.virtual_time = (held.virtual_time or 0.0) + (took - charged) / held.weight
            job.known = took if job.known is None else (job.known + took) / 2


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--measure", choices=MEASURES, action="append", help="default: all")
    options.add_argument("--workers", type=int, action="append", help="default: 1, 4, 16 and 64")
    options.add_argument("--stay", type=float, default=fairness.STAY_SECONDS, help="seconds")
    arguments = options.parse_args()
    fairness.STAY_SECONDS = arguments.stay
    found = {"start": _start, "share": _share, "jain": _jain, "useful": _useful}
    for measure in arguments.measure or MEASURES:
        for workers in arguments.workers or WORKERS:
            for rule in RULES:
                for row in found[measure](workers, rule):
                    row.parameters.update(workers=workers, rule=rule)
                    row.print(arguments.json)


def _start(workers: int, rule: str) -> Iterator[Row]:
    """Ten small jobs, each of them among 50 big ones, and one that comes with them."""
    for seconds in (0.5, 10.0):
        waits, before = [], []
        until = seconds * max(20, 400 // workers)
        for seed in range(10):
            came = 0.01 if seed == 0 else random.Random(seed).uniform(0, until / 2)
            big = [Job(f"big {n}", "", BIG, n * 1e-4, seconds) for n in range(50)]
            small = Job("small", "", SMALL, came, seconds / 4)
            run = Simulation([*big, small], {"": 1.0}, workers, rule=rule, seed=seed)
            run.run(until)
            began = until if small.began_at is None else small.began_at
            waits.append((began - came) / seconds)
            before.append(sum(came < at < began for at, _ in run.claims))
        of: dict[str, Any] = {"seconds": seconds}
        yield Row("start", max(waits), "populations", parameters=of.copy())
        yield Row("start_median", median(waits), "populations", parameters=of.copy())
        yield Row("claims_before", max(before), "claims", parameters=of.copy())


def _share(workers: int, rule: str) -> Iterator[Row]:
    """Three keys of ten jobs each, whose populations take 2, 5 and 20 seconds."""
    weights = {"one": 1.0, "two": 2.0, "four": 4.0}
    jobs = [
        Job(f"{owner} {n}", owner, BIG, n * 1e-4, (2.0, 5.0, 20.0)[n % 3])
        for owner in weights
        for n in range(10)
    ]
    run = Simulation(jobs, weights, workers, rule=rule)
    run.run(max(1_000.0, 8_000 / workers))
    total = sum(job.used for job in jobs)
    for owner, weight in weights.items():
        used = sum(job.used for job in jobs if job.owner == owner) / total
        of: dict[str, Any] = {"weight": weight}
        yield Row("share", used / (weight / 7), "of what is fair", parameters=of)


def _jain(workers: int, rule: str) -> Iterator[Row]:
    jobs = [Job(f"job {n}", "", BIG, n * 1e-4, 0.2 * 300 ** (n / 49)) for n in range(50)]
    run = Simulation(jobs, {"": 1.0}, workers, rule=rule)
    run.run(max(2_000.0, 20_000 / workers))
    yield Row("jain", jain([job.used for job in jobs]), "of 1")


def jain(values: Sequence[float]) -> float:
    """Return (sum x)² / (n sum x²): Jain, Chiu and Hawe (1984)."""
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))


def _useful(workers: int, rule: str) -> Iterator[Row]:
    jobs = [Job(f"job {n}", "", BIG, n * 1e-4, 1.0) for n in range(50)]
    run = Simulation(jobs, {"": 1.0}, workers, rule=rule, setup=SETUP)
    run.run(max(100.0, 2_000 / workers))
    total = sum(job.used for job in jobs)
    yield Row("useful", 1 - run.spent_on_setup / total, "of the time")


if __name__ == "__main__":
    main()
