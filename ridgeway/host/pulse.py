"""What a worker shows its supervisor: that it lives, and that it gets on.

Both see the same few bytes of memory: writing there costs a training step nothing, and a process
that stands still can't hide it. Times are seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import threading
import time
from dataclasses import dataclass

from ridgeway.settings import Settings

GRACE_SECONDS = 10.0  # from the request to stop to SIGKILL
START_SECONDS = 300.0  # in which a worker must have begun to beat
BEAT_SECONDS = 1.0
ASK_WHERE = signal.SIGUSR1  # has a worker write to standard error what each thread is at


class Pulse(ctypes.Structure):
    """Signs of a worker. Zero stands for never and for nothing.

    beat: when any of its threads last ran. step: when its main thread last came to the end of a
    step of its work, or had none. leaving_since: when it learned that it is to leave the work that
    it is at. lease: the id of the one that it works on.
    """

    _fields_ = (
        ("beat", ctypes.c_double),
        ("step", ctypes.c_double),
        ("leaving_since", ctypes.c_double),
        ("lease", ctypes.c_int64),
    )
    beat: float
    step: float
    leaving_since: float
    lease: int

    @classmethod
    def at(cls, file: int) -> Pulse:
        """Return the pulse in the file of this descriptor, which may be closed afterwards."""
        return cls.from_buffer(mmap.mmap(file, ctypes.sizeof(cls)))


def new_file() -> int:
    """Return the descriptor of a file in memory that holds a pulse."""
    file = os.memfd_create("pulse")
    os.ftruncate(file, ctypes.sizeof(Pulse))
    return file


def keep_beating(pulse: Pulse, silent_seconds: float) -> None:
    """Beat from now on, in a thread, and answer ASK_WHERE.

    Whoever could stop beating with a supervisor that is gone would stay for ever: a timer of the C
    runtime, which each beat sets anew, ends the process where its supervisor had long done so.
    """
    faulthandler.register(ASK_WHERE, all_threads=True)
    pulse.step = time.monotonic()

    def beat() -> None:
        while True:
            pulse.beat = time.monotonic()
            faulthandler.dump_traceback_later(silent_seconds + 2 * GRACE_SECONDS, exit=True)
            time.sleep(BEAT_SECONDS)

    threading.Thread(target=beat, name="pulse", daemon=True).start()


@dataclass(frozen=True)
class Patience:
    """How many seconds a supervisor waits for a worker that doesn't get on.

    stalled: that ends no step. silent: none of whose threads runs. grace: that is to leave its
    work, or to end.
    """

    stalled: float = 600.0
    silent: float = 30.0
    grace: float = GRACE_SECONDS

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """Return that of a deployment. When a worker is silent for a lease, it has lost it."""
        silent = max(settings.lease_seconds, GRACE_SECONDS)
        return cls(stalled=settings.stall_seconds, silent=silent)

    def exhausted_by(self, pulse: Pulse, since: float) -> str | None:
        """Return why a worker that has been watched since then is to be killed, if it is."""
        now = time.monotonic()

        def for_longer(than: float, sign: float) -> bool:
            return now - max(sign, since) > than

        if not pulse.beat:
            late = for_longer(START_SECONDS, 0.0)
            return f"it had not started within {START_SECONDS:g} s" if late else None
        if pulse.leaving_since and for_longer(self.grace, pulse.leaving_since):
            return f"it was told to leave its work and had not within {self.grace:g} s"
        if for_longer(self.silent, pulse.beat):
            return (
                f"its process stood still for {self.silent:g} s, as it does where a plug-in's code "
                "holds Python's lock"
            )
        if for_longer(self.stalled, pulse.step):
            return f"no step of its work ended within {self.stalled:g} s"
        return None
