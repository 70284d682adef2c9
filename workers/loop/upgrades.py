"""Whether plug-ins have come, gone or changed since a worker started, which knows the old ones."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

from ridgeway.plugins import offered

LOOK_SECONDS = 5.0  # between two looks at what is installed, which take some milliseconds

log = logging.getLogger("ridgeway.worker")


class Upgrades:
    """Tells an idle worker that it should end, for whoever supervises it to start a new one.

    What has changed must look the same twice: a package may be half installed at the first look.
    """

    def __init__(self, look: Callable[[], Hashable] = offered) -> None:
        self._look = look
        self._known = self._before = look()
        self._due = time.monotonic() + LOOK_SECONDS

    def __call__(self) -> bool:
        """Return True where plug-ins have changed; look no oftener than every few seconds."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + LOOK_SECONDS
        found = self._look()
        changed = found != self._known and found == self._before
        self._before = found
        if changed:
            log.info("plug-ins have changed: this worker ends, to be started again with them")
        return changed
