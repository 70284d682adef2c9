"""Keeps processes running: restarts the crashed, takes dead workers' leases back, leaves no orphan.

It kills workers that don't get on (pulse.py), for what they are at outlives every request to stop.

Everything that needs the database happens in short-lived processes (upkeep.py): a supervisor
stays small for as long as it lives.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ridgeway.host.memory import Toll
from ridgeway.host.pulse import ASK_WHERE, GRACE_SECONDS, Patience, Pulse, new_file

FIRST_PAUSE_SECONDS = 0.5  # before a crashed process is started again; doubles each time
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0  # a process that lived so long is forgiven its earlier crashes
TICK_SECONDS = 0.2  # how often `watch` is called while it waits for something
LOOK_SECONDS = 1.0  # between two looks at the workers' pulses
AWAY_SECONDS = 10.0  # between two looks mean that the machine stood still, workers included
BAD_INPUT = 2  # a child's exit code that another start would not change
UPKEEP = (sys.executable, "-P", "-m", "ridgeway.host.upkeep")

log = logging.getLogger("ridgeway.supervisor")


def die_with_parent(grace_seconds: float = GRACE_SECONDS) -> None:
    """End this process when standard input does: the parent holds the other end of that pipe.

    A thread sends SIGTERM, and `grace_seconds` later ends the process for good.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_seconds)
        os._exit(1)

    threading.Thread(target=wait, name="die-with-parent", daemon=True).start()


@dataclass(frozen=True)
class Role:
    """A process to keep running.

    A worker's `argv` gets `--id UUID` added, a new one each start, and `--pulse FILE`.
    """

    name: str
    argv: Sequence[str]
    worker: bool = False
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


class Backoff:
    """The wait before a crashed process is started again."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE_SECONDS

    def pause(self, lived_seconds: float) -> float:
        """Return seconds: twice the last pause, unless the process had lived long enough."""
        pause = FIRST_PAUSE_SECONDS if lived_seconds >= HEALTHY_SECONDS else self._next
        self._next = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return pause


class _Child:
    """The process that fills a role now."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.process: subprocess.Popen[bytes] | None = None
        self.worker_id: str | None = None
        self.pulse = Pulse()
        self.lost_because: str | None = None  # where it is we who ended it
        self.started_at = 0.0
        self.due_at = 0.0
        self.backoff = Backoff()

    def start(self, environment: Mapping[str, str]) -> None:
        """Start the process; the write end of its standard input is ours alone."""
        argv, files = list(self.role.argv), list[int]()
        if self.role.worker:
            self.worker_id, files = str(uuid.uuid4()), [new_file()]
            self.pulse = Pulse.at(files[0])
            argv += ["--id", self.worker_id, "--pulse", str(files[0])]
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            pass_fds=files,
            env={**os.environ, **environment, **self.role.environment},
            # A group of its own: Ctrl-C reaches the supervisor alone, and what the process leaves
            # behind can be found.
            process_group=0,
        )
        for file in files:
            os.close(file)
        self.lost_because = None
        self.started_at = time.monotonic()

    def reap(self) -> int | None:
        """Return the exit code if the process has ended; its own children end with it."""
        process = self.process
        if process is None:
            return None
        # The group's id can't be taken by somebody else before its leader is reaped.
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self.signal(signal.SIGKILL)
        code = process.wait()
        assert process.stdin is not None
        process.stdin.close()
        self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGKILL to the whole group, any other to the process alone."""
        if self.process is not None:
            send = os.killpg if number == signal.SIGKILL else os.kill
            send(self.process.pid, number)

    def kill(self, because: str) -> None:
        """Kill a worker, which writes to the log before what it is at, if it still can."""
        self.lost_because = because
        self.signal(ASK_WHERE)
        time.sleep(TICK_SECONDS)
        self.signal(signal.SIGKILL)

    def schedule(self) -> float:
        """Set the time of the next start after a crash; the pause in seconds."""
        pause = self.backoff.pause(time.monotonic() - self.started_at)
        self.due_at = time.monotonic() + pause
        return pause


class Supervisor:
    """Runs roles until a signal, or until one of them ends with exit code 2.

    `environment` is added to that of every process. `watch` is called every fifth of a second
    until it returns False: it may tell when all is up. `patience` is that with workers.
    """

    def __init__(
        self,
        roles: Sequence[Role],
        environment: Mapping[str, str],
        watch: Callable[[], bool] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._children = [_Child(role) for role in roles]
        self._environment = environment
        self._watch = watch
        self._patience = patience or Patience()
        self._memory = Toll()
        self._awake_since = self._looked_at = time.monotonic()
        self._upkeep: list[subprocess.Popen[bytes]] = []
        self._exit_code: int | None = None

    def run(self) -> int:
        """Keep every role running; the exit code. Must run in the main thread."""
        with _Signals() as signals:
            while self._exit_code is None:
                self._start_due()
                if signals.wait(self._pause()):
                    self._exit_code = 0
                    break
                self._look_after()
            self._stop(signals)
        return self._exit_code

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and child.due_at <= now:
                child.start(self._environment)

    def _pause(self) -> float | None:
        """Return how long nothing happens unless a signal comes; None for as long as it takes."""
        due = [child.due_at for child in self._children if child.process is None]
        pauses = [max(0.0, at - time.monotonic()) for at in due]
        if self._watch is not None:
            pauses.append(TICK_SECONDS)
        if any(child.role.worker for child in self._children):
            pauses.append(LOOK_SECONDS)
        return min(pauses, default=None)

    def _look_after(self) -> None:
        self._upkeep = [process for process in self._upkeep if process.poll() is None]
        for child in self._children:
            code = child.reap()
            if code == BAD_INPUT:
                log.error("%s can't run here; stopping everything.", child.role.name)
                self._exit_code = BAD_INPUT
            elif code is not None:
                self._after_crash(child, code)
        self._look_at_pulses()
        if self._watch is not None and not self._watch():
            self._watch = None

    def _look_at_pulses(self) -> None:
        """Kill the workers that don't get on."""
        now = time.monotonic()
        if now - self._looked_at > AWAY_SECONDS:
            self._awake_since = now
        self._looked_at = now
        for child in self._children:
            if child.process is None or not child.role.worker or child.lost_because is not None:
                continue
            since = max(child.started_at, self._awake_since)
            because = self._patience.exhausted_by(child.pulse, since)
            if because is not None:
                log.error("Killing %s: %s.", child.role.name, because)
                child.kill(because)

    def _after_crash(self, child: _Child, code: int) -> None:
        if child.role.worker:
            if code == -signal.SIGKILL and child.lost_because is None:
                child.lost_because = self._memory.why_killed()
            # At once: others take its trials over without waiting for the lease to run out.
            self._expire(child)
        pause = child.schedule()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if child.lost_because is not None:
            how += f" ({child.lost_because})"
        log.warning("%s ended with %s; starting it again in %g s.", child.role.name, how, pause)

    def _stop(self, signals: _Signals) -> None:
        """Stop all by SIGTERM, a grace period, SIGKILL; a second signal ends the grace."""
        for child in self._children:
            child.signal(signal.SIGTERM)
        grace = self._patience.grace
        deadline = time.monotonic() + grace
        while living := [child for child in self._children if child.process is not None]:
            left = deadline - time.monotonic()
            if left <= 0 or signals.wait(left):
                deadline = 0.0
                for child in living:
                    child.signal(signal.SIGKILL)
                signals.wait(TICK_SECONDS)
            for child in living:
                code = child.reap()
                if code == -signal.SIGKILL and child.role.worker:
                    child.lost_because = f"it was told to stop and had not within {grace:g} s"
                    self._expire(child)
        for process in self._upkeep:
            process.wait()

    def _expire(self, child: _Child) -> None:
        """Take a dead worker's leases back and say why it died, in a process of its own."""
        assert child.worker_id is not None
        argv = [*UPKEEP, "expire", child.worker_id]
        if child.lost_because is not None:
            argv += ["--because", child.lost_because, "--lease", str(child.pulse.lease)]
        self._upkeep.append(
            subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, env={**os.environ, **self._environment}
            )
        )


class _Signals:
    """Turns SIGTERM, SIGINT and SIGHUP into answers of `wait`, and wakes it when a child ends."""

    STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __enter__(self) -> _Signals:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._wakeup = signal.set_wakeup_fd(self._write)
        # nohup ignores SIGHUP, and means it.
        watched = [n for n in (*self.STOP, signal.SIGCHLD) if signal.getsignal(n) != signal.SIG_IGN]
        self._before = {number: signal.signal(number, _only_wake) for number in watched}
        return self

    def __exit__(self, *error: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float | None) -> bool:
        """Wait for a signal, at most so long; whether it was one that asks us to stop."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        return any(number in self.STOP for number in os.read(self._read, 4096)) if ready else False


def _only_wake(number: int, frame: object) -> None:
    """Do nothing: the number reaches us through the wakeup descriptor."""
