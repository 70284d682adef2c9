"""Whether work is to go on: asked by every loop that may take long, however deep it lies.

Training knows neither leases nor signals. Whoever begins it says what is to be asked:

    with heeding(check):  # which raises Interrupted where the work is to end
        train(...)

    for step in steps:  # somewhere below
        heed()
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar


class Interrupted(BaseException):
    """The work ends here, in the midst of it.

    It is no Exception: whoever catches what a model raises lets it pass.
    """


def _go_on() -> None:
    """Let work go on that nobody has a say in."""


_check: ContextVar[Callable[[], None]] = ContextVar("check", default=_go_on)


def heed() -> None:
    """Raise Interrupted where the work is to end; else it takes less than a microsecond."""
    _check.get()()


@contextmanager
def heeding(check: Callable[[], None]) -> Generator[None]:
    """Have what runs inside, in this thread, ask `check`."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)
