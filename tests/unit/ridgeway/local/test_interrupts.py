"""Interrupts are raised where they harm nothing, once somebody who works was told."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from ridgeway.local.interrupts import Interrupts, kept_interrupts

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _pythons_own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def interrupted(work: Callable[[Interrupts], None]) -> None:
    with pytest.raises(KeyboardInterrupt), kept_interrupts() as interrupts:
        work(interrupts)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_first_waits_for_the_blocks_end() -> None:
    steps: list[str] = []

    def work(_: Interrupts) -> None:
        interrupt()
        steps.append("went on")

    interrupted(work)
    assert steps == ["went on"]


def test_the_first_is_raised_where_it_is_heeded() -> None:
    def work(interrupts: Interrupts) -> None:
        interrupts.heed()
        interrupt()
        interrupts.heed()
        pytest.fail("went on")

    interrupted(work)


def test_the_second_is_raised_at_once() -> None:
    def work(_: Interrupts) -> None:
        interrupt()
        interrupt()
        pytest.fail("went on")

    interrupted(work)


@pytest.mark.parametrize("early", [True, False])
def test_who_works_is_told_from_another_thread(early: bool) -> None:
    told: SimpleQueue[threading.Thread] = SimpleQueue()

    def work(interrupts: Interrupts) -> None:
        if early:
            interrupt()
        with interrupts.telling(lambda: told.put(threading.current_thread())):
            if not early:
                interrupt()
            assert told.get(timeout=PATIENCE) is not threading.main_thread()

    interrupted(work)


def test_nobody_is_told_without_one() -> None:
    threads = threading.active_count()
    with kept_interrupts() as interrupts, interrupts.telling(lambda: pytest.fail("told")):
        assert threading.active_count() == threads + 1
    assert threading.active_count() == threads


def test_a_signal_that_another_has_taken_is_left_to_it() -> None:
    numbers: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: numbers.append(number))
    with kept_interrupts():
        interrupt()
    assert numbers == [signal.SIGINT]


def test_threads_keep_none() -> None:
    seen: list[object] = []

    def look() -> None:
        with kept_interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
