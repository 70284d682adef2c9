"""Work done in a thread, a little ahead of who needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

AHEAD = 2  # results that wait, beside the one in use


def ahead(make: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """Yield what `make` gives for each, in order; the next ones are made meanwhile.

    An error of `make` is raised where its result would have come. Who stops early is waited for by
    what is being made, no longer.
    """
    rest = iter(given)
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting: deque[Future[Made]] = deque()
        try:
            waiting.extend(thread.submit(make, each) for each in islice(rest, AHEAD))
            while waiting:
                found = waiting.popleft().result()
                waiting.extend(thread.submit(make, each) for each in islice(rest, 1))
                yield found
        finally:
            for future in waiting:
                future.cancel()
