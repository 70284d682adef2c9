"""An interrupt at the keyboard, kept until it can be heeded without harm.

Python raises KeyboardInterrupt wherever the main thread is: also between the BEGIN of a transaction
and whoever would roll it back. Then the error's own traceback holds the connection, and with it
the database's lock, for as long as somebody holds the error.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType


class Interrupts:
    """Whether an interrupt came, and who is told of the first; a second is raised where it comes.

    Of use once: whoever is told is told of one interrupt.
    """

    def __init__(self) -> None:
        self.came = False
        # Its `put` may interrupt any other call of it: no event or lock of Python's may be so used.
        self._news: SimpleQueue[bool] = SimpleQueue()

    def heed(self) -> None:
        """Raise KeyboardInterrupt if one came."""
        if self.came:
            raise KeyboardInterrupt

    @contextmanager
    def telling(self, stop: Callable[[], None]) -> Generator[None]:
        """Call `stop` from a thread if an interrupt came, or comes within the block."""

        def wait() -> None:
            if self._news.get():
                stop()

        thread = threading.Thread(target=wait, name="interrupts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._news.put(False)
            thread.join()

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note a signal, as its handler."""
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        self._news.put(True)


@contextmanager
def kept_interrupts() -> Generator[Interrupts]:
    """Raise the block's first interrupt at its end, or where `heed` is called.

    What is no interrupt to Python, as another has taken the signal, is left to that. Outside the
    main thread none comes.
    """
    interrupts, before = Interrupts(), signal.default_int_handler
    in_main = threading.current_thread() is threading.main_thread()
    asked = (signal.SIGINT, signal.SIGTERM)
    taken = [each for each in asked if in_main and signal.getsignal(each) is before]
    for each in taken:
        signal.signal(each, interrupts.note)
    try:
        yield interrupts
    finally:
        for each in taken:
            signal.signal(each, before)
        interrupts.heed()
