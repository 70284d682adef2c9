"""How many uploads may be unfinished at once, and how much of the disk they may come to take."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from service.problems import ServiceUnavailable

MOST_UPLOADS = 16
MOST_LARGEST = 4  # of the largest size: so much of the disk


class Admission:
    """Admits uploads while there is room. For one thread, the event loop's."""

    def __init__(self, largest: int) -> None:
        self._uploads = 0
        self._left = MOST_LARGEST * largest

    @contextmanager
    def admit(self, size: int) -> Generator[None]:
        """Hold room for an upload of `size` bytes; ServiceUnavailable where there is none."""
        if self._uploads == MOST_UPLOADS or size > self._left:
            raise ServiceUnavailable("Too many uploads are unfinished; try again.")
        self._uploads += 1
        self._left -= size
        try:
            yield
        finally:
            self._uploads -= 1
            self._left += size
