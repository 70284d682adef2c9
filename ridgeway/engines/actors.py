"""What runs on a Ray cluster: worker actors, and the controller that starts and stops them.

Ray finds these classes by name in the Ridgeway that is installed on each node: no code is sent, and
no setting, and nothing goes through the object store. What actors answer is a few words, inline.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray as untyped_ray
from ray.exceptions import RayError
from sqlalchemy.exc import DBAPIError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.engines.scaling import Limits, Scale, Share, room_for
from ridgeway.engines.seat import STOP_SECONDS, Seat
from ridgeway.engines.surroundings import shared_settings
from ridgeway.errors import InvalidInput
from ridgeway.host.private import keep_private
from ridgeway.jobs.queue import OpenWork, open_work
from ridgeway.jobs.sizes import BY_DEVICE

WORKER = (sys.executable, "-P", "-m", "ridgeway", "worker", "--processes", "1", "--supervised")

ray: Any = untyped_ray  # what it says of its types is not enough for a strict check
log = logging.getLogger("ridgeway.engine")


@dataclass(frozen=True)
class Look:
    """A worker actor as it is: on which host, with which processes, and what is wrong with it."""

    host: str
    pids: frozenset[int]
    trouble: str | None


@dataclass(frozen=True)
class Status:
    """The fleet as it is: how many workers are wanted, there, and waited for; what is wrong."""

    wanted: int
    there: int
    waiting: int
    troubles: tuple[str, ...]


class WorkerActor:
    """A node's share, in which it keeps `ridgeway worker` running with one process.

    Ray has set CUDA_VISIBLE_DEVICES by now, and the process that trains inherits it.
    """

    def __init__(self, device: str) -> None:
        keep_private()
        self._seat: Seat | None = None
        self._trouble: str | None = None
        try:
            shared_settings()
        except InvalidInput as error:
            self._trouble = f"Ray's environment on {platform.node()} does not fit: {error}"
        else:
            self._seat = Seat([*WORKER, "--device", device])

    def look(self) -> Look:
        """Tell how it is going."""
        trouble, pids = self._trouble, frozenset[int]()
        if self._seat is not None:
            pids = self._seat.pids()
            if self._seat.last_code:
                trouble = (
                    f"`ridgeway worker` on {platform.node()} ended with {self._seat.last_code}; "
                    f"Ray's log of process {os.getpid()} there has more"
                )
        return Look(platform.node(), pids, trouble)

    def leave(self) -> None:
        """Have the worker hand its lease back, and end."""
        if self._seat is not None:
            self._seat.leave()


@dataclass
class _Worker:
    """A worker actor as the controller knows it. look: None until the actor has been placed."""

    actor: Any
    asked: Any
    look: Look | None = None


@dataclass
class _Leaving:
    """An actor that was told to leave, and when the controller ends it whatever it says."""

    actor: Any
    answer: Any
    until: float = field(default_factory=lambda: time.monotonic() + STOP_SECONDS)


class Controller:
    """Has as many worker actors as there is work for. One `step` after the other, by the driver."""

    def __init__(self, share: Share, limits: Limits, idle_seconds: float) -> None:
        settings = shared_settings()
        self._database = Database.for_requests(settings)  # the driver waits
        usual = BY_DEVICE["cuda" if share.gpu else "cpu"]
        self._largest = usual.within(settings.max_population).most
        self._share = share
        self._scale = Scale(limits, idle_seconds)
        self._work = OpenWork(0, frozenset())
        self._workers: list[_Worker] = []
        self._leaving: list[_Leaving] = []
        self._class = ray.remote(WorkerActor).options(
            num_cpus=share.cpus, num_gpus=share.gpus, max_restarts=-1, max_task_retries=-1
        )

    def step(self) -> Status:
        """Look at queue and workers, start or stop some; return how it is then."""
        troubles = self._look_at_queue()
        self._look_at_workers()
        self._end_the_leaving()
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        target = self._scale.target(
            self._work.pieces, room_for(nodes, self._share), time.monotonic()
        )
        while len(self._workers) < target:
            self._start()
        self._dismiss(len(self._workers) - target)
        troubles += [
            worker.look.trouble for worker in self._workers if worker.look and worker.look.trouble
        ]
        there = sum(worker.look is not None for worker in self._workers)
        return Status(target, there, len(self._workers) - there, tuple(dict.fromkeys(troubles)))

    def stop(self) -> None:
        """End all workers in order."""
        for worker in self._workers:
            self._let_go(worker)
        answers = [each.answer for each in self._leaving]
        self._workers = []
        if answers:
            ray.wait(answers, num_returns=len(answers), timeout=STOP_SECONDS)

    def _look_at_queue(self) -> list[str]:
        """Read how much work there is; without an answer all stays as it was."""
        try:
            with self._database.reading() as transaction:
                self._work = open_work(transaction, self._largest)
        except DBAPIError as error:
            return [f"the database does not answer: {first_line(error)}"]
        return []

    def _look_at_workers(self) -> None:
        """Take the answers that have come; who has none yet waits for room, or starts again."""
        kept: list[_Worker] = []
        for worker in self._workers:
            if _ready(worker.asked):
                try:
                    worker.look = ray.get(worker.asked)
                except RayError as error:  # it won't be started again
                    log.warning("a worker actor is lost: %s", error)
                    continue
                worker.asked = worker.actor.look.remote()
            kept.append(worker)
        self._workers = kept

    def _start(self) -> None:
        actor: Any = self._class.remote("cuda" if self._share.gpu else "cpu")
        self._workers.append(_Worker(actor, actor.look.remote()))

    def _dismiss(self, count: int) -> None:
        """Let so many go that are not at work: first those that wait for room, then idle ones."""
        idle = [worker for worker in self._workers if not self._at_work(worker)]
        idle.sort(key=lambda worker: worker.look is not None)
        for worker in idle[: max(count, 0)]:
            self._workers.remove(worker)
            self._let_go(worker)

    def _at_work(self, worker: _Worker) -> bool:
        if worker.look is None:
            return False
        return any((worker.look.host, pid) in self._work.holders for pid in worker.look.pids)

    def _let_go(self, worker: _Worker) -> None:
        if worker.look is None:
            ray.kill(worker.actor)
        else:
            self._leaving.append(_Leaving(worker.actor, worker.actor.leave.remote()))

    def _end_the_leaving(self) -> None:
        kept: list[_Leaving] = []
        for each in self._leaving:
            if time.monotonic() > each.until or _ready(each.answer):
                ray.kill(each.actor)
            else:
                kept.append(each)
        self._leaving = kept


def _ready(answer: Any) -> bool:
    ready: Sequence[Any] = ray.wait([answer], timeout=0)[0]
    return bool(ready)
