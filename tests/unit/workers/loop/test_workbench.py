"""What a worker keeps of its jobs, and when it lets go."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from populations import CPU, job, made_up_fold

from ridgeway.jobs.plan import Engine
from workers.loop import workbench
from workers.loop.workbench import JOBS, SOLVERS, Benches, Workbench
from workers.population.problem import Problem
from workers.population.solver import Solver
from workers.pruning.reports import reports_of
from workers.sampling import Mirror
from workers.train import solver_of

SPEC = job(model={"kind": "linear"}, epochs=2)


@pytest.fixture(autouse=True)
def _without_collector() -> Iterator[None]:
    """A device's memory is free at once, and not when cycles happen to be looked for."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    monkeypatch.setattr(workbench, "time", time)
    return time


def bench() -> Workbench:
    prepared: Any = SimpleNamespace(spec=SPEC, folds=[made_up_fold(30)], outputs=1)
    problem = Problem(SPEC, prepared.folds, 1, CPU)
    return Workbench(prepared, Mirror(SPEC, 1), reports_of(SPEC), problem)


def solver_in(benches: Benches, job_id: str) -> weakref.ref[Solver]:
    return weakref.ref(solver_of(benches.of(job_id, bench).follow(Engine())))


def test_a_jobs_solver_is_kept_from_one_population_to_the_next() -> None:
    benches = Benches()
    assert solver_in(benches, "a")() is solver_in(benches, "a")() is not None


def test_a_job_that_has_ended_is_forgotten_with_its_solver() -> None:
    benches = Benches()
    own, kept = benches.of("a", bench), solver_in(benches, "a")
    benches.forget("a")
    benches.forget("a")
    assert kept() is None
    assert benches.of("a", bench) is not own


def test_solvers_of_the_latest_jobs_alone_are_kept() -> None:
    benches = Benches()
    kept = [solver_in(benches, str(number)) for number in range(SOLVERS + 2)]
    assert [one() is None for one in kept] == [True] * 2 + [False] * SOLVERS
    assert solver_in(benches, "0")() is not None  # made anew


def test_data_of_a_few_more_jobs_is_kept() -> None:
    benches = Benches()
    first = benches.of("first", bench)
    for number in range(JOBS - 1):
        benches.of(str(number), bench)
    assert benches.of("first", bench) is first
    for number in range(JOBS):
        benches.of(str(number), bench)
    assert benches.of("first", bench) is not first


def test_a_worker_that_has_been_idle_for_a_while_gives_its_solvers_up(
    clock: SimpleNamespace,
) -> None:
    benches = Benches()
    own, kept = benches.of("a", bench), solver_in(benches, "a")
    for clock.now in (100.0, 159.0):
        benches.rest()
        assert kept() is not None
    assert benches.of("a", bench) is own  # there was work
    for clock.now in (160.0, 219.0):
        benches.rest()
        assert kept() is not None
    clock.now = 220.0
    benches.rest()
    assert kept() is None
    assert benches.of("a", bench) is own
