"""How many workers a cluster is asked for: a count of open work, between two limits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FOR_ROUNDING = 1e-9  # Ray counts in ten-thousandths of a core


@dataclass(frozen=True)
class Share:
    """What one worker takes of a node: cores, and whether a GPU of its own."""

    cpus: float = 1.0
    gpu: bool = False

    @property
    def gpus(self) -> int:
        """The GPUs of one worker."""
        return int(self.gpu)


@dataclass(frozen=True)
class Limits:
    """How many workers there may be. most None: as many as the cluster's nodes hold."""

    fewest: int = 1
    most: int | None = None

    def clamp(self, pieces: int, room: int) -> int:
        """Return a worker for each piece of work, within the limits.

        room: how many workers the nodes hold that are there. `fewest` and `most` may be above it:
        for a worker that finds no room the cluster's autoscaler starts a node.
        """
        most = room if self.most is None else self.most
        return max(self.fewest, min(pieces, most))


def room_for(nodes: Iterable[Mapping[str, float]], share: Share) -> int:
    """Count the workers that nodes hold; a node's resources are Ray's, such as {"CPU": 4.0}."""
    return sum(_on(node, share) for node in nodes)


def _on(node: Mapping[str, float], share: Share) -> int:
    by_cpus = math.floor(node.get("CPU", 0.0) / share.cpus + FOR_ROUNDING)
    return min(by_cpus, math.floor(node.get("GPU", 0.0))) if share.gpu else by_cpus


class Scale:
    """A target that grows at once, and shrinks to the most that was wanted for `idle_seconds`.

    So a fleet outlives the short lulls between two jobs, and between a search and its answer.
    """

    def __init__(self, limits: Limits, idle_seconds: float) -> None:
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._wanted: deque[tuple[float, int]] = deque()  # falling, the latest last

    def target(self, pieces: int, room: int, now: float) -> int:
        """Return how many workers there should be; now: seconds of a clock that only goes on."""
        wanted = self._limits.clamp(pieces, room)
        while self._wanted and self._wanted[-1][1] <= wanted:
            self._wanted.pop()
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - self._idle_seconds:
            self._wanted.popleft()
        return self._wanted[0][1]
