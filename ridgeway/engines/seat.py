"""A command that one actor keeps running for as long as it lives."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ridgeway.host.pulse import GRACE_SECONDS
from ridgeway.host.supervisor import Backoff

STOP_SECONDS = 2 * GRACE_SECONDS  # a supervisor's worker has GRACE_SECONDS of them

log = logging.getLogger("ridgeway.engine")


class Seat:
    """Runs a supervised command, and has a thread start it again when it ends.

    The process ends when its standard input does, so it outlives nobody, however its owner dies.
    It is told nothing of Ray: what it runs has no use for the cluster's token.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        self._backoff = Backoff()
        self._leaving = threading.Event()
        self._started_at = 0.0
        self._process = self._start()
        self.last_code: int | None = None  # of the process before this one
        self._thread = threading.Thread(target=self._keep, name="seat", daemon=True)
        self._thread.start()

    def pids(self) -> frozenset[int]:
        """Return the ids of the command's own children, workers among them."""
        pid = self._process.pid
        try:
            return frozenset(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
        except OSError:  # it has ended, or the kernel has no such file
            return frozenset()

    def leave(self) -> None:
        """End the command in order, and for good."""
        self._leaving.set()
        self._thread.join()

    def _start(self) -> subprocess.Popen[bytes]:
        self._started_at = time.monotonic()
        return subprocess.Popen(
            self._argv, stdin=subprocess.PIPE, env=self._environment, process_group=0
        )

    def _keep(self) -> None:
        while not self._leaving.is_set():
            code = self._process.poll()
            if code is None:
                self._leaving.wait(0.2)
                continue
            self._close()
            self.last_code = code
            pause = self._backoff.pause(time.monotonic() - self._started_at)
            log.warning("the worker's supervisor ended with %d; again in %g s", code, pause)
            if not self._leaving.wait(pause):
                try:
                    self._process = self._start()
                except OSError as error:  # no memory, or too many processes: tried again
                    log.warning("the worker's supervisor can't be started: %s", error)
        self._close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
