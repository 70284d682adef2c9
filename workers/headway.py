"""How far the work is: told by loops that may take long, to whoever asked to be told.

Who begins the work says who is told; a loop knows only its own piece of it:

    with telling(show):
        for number, chunk in enumerate(chunks):
            with span(number / len(chunks), (number + 1) / len(chunks)):
                train(chunk)

    for step in range(steps):  # somewhere below
        tell((step + 1) / steps)
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar


def _nobody(share: float) -> None:
    """Let work go on that nobody waits for."""


_tell: ContextVar[Callable[[float], None]] = ContextVar("tell", default=_nobody)


def tell(share: float) -> None:
    """Tell how much of this piece of work is done, from 0 to 1; at each step, so be quick."""
    _tell.get()(share)


@contextmanager
def telling(listener: Callable[[float], None]) -> Generator[None]:
    """Have what runs inside, in this thread, tell the listener."""
    token = _tell.set(listener)
    try:
        yield
    finally:
        _tell.reset(token)


@contextmanager
def span(start: float, end: float) -> Generator[None]:
    """Have what runs inside tell of the part of this piece of work from `start` to `end`."""
    outer, length = _tell.get(), end - start
    with telling(lambda share: outer(start + length * share)):
        yield
