"""What workers count and time, from each of them to the service that shows it.

A worker adds up what it does in a Recorder; its heartbeat writes that on the worker's row, and
whoever wants the sum over all workers adds the rows up:

    recorder.count("leases_lost")
    recorder.observe("training_seconds", 2.7)
    total(row.measures for row in rows).counts["leases_lost"]

Sums only grow: what is on a row that is deleted is added to the retired ones (ridgeway/fleet.py).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

COUNTS: tuple[str, ...] = ("trials_complete", "trials_pruned", "trials_failed", "leases_lost")
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
# The upper bounds of the buckets that a measure is told in; one more bucket has no bound.
BOUNDS: dict[str, tuple[float, ...]] = {
    "population_size": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    "sampling_seconds": _SECONDS,
    "training_seconds": _SECONDS,
    "writing_seconds": _SECONDS,
}
PEAKS = ("gpu_memory_bytes",)


class Tally(BaseModel):
    """How often a measure fell into each bucket, bounds included, and the sum of all."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    buckets: list[int]
    sum: float

    @classmethod
    def empty(cls, name: str) -> Tally:
        """Return the tally of a measure before its first value."""
        return cls(buckets=[0] * (len(BOUNDS[name]) + 1), sum=0.0)

    def with_value(self, name: str, value: float) -> Tally:
        """Return the tally with one value more."""
        buckets = list(self.buckets)
        buckets[bisect_left(BOUNDS[name], value)] += 1
        return Tally(buckets=buckets, sum=self.sum + value)

    def plus(self, other: Tally) -> Tally:
        """Return both together; this one alone where another release had other buckets."""
        if len(self.buckets) != len(other.buckets):
            return self
        buckets = [own + its for own, its in zip(self.buckets, other.buckets, strict=True)]
        return Tally(buckets=buckets, sum=self.sum + other.sum)


class Measures(BaseModel):
    """What workers have counted, timed, and reached at most; names that aren't there are zero."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    counts: dict[str, float] = Field(default={})
    tallies: dict[str, Tally] = Field(default={})
    peaks: dict[str, float] = Field(default={})

    def plus(self, other: Measures) -> Measures:
        """Return both together; a peak is of one worker, and goes with it."""
        counts = {name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in COUNTS}
        tallies = {
            name: self.tallies.get(name, Tally.empty(name)).plus(
                other.tallies.get(name, Tally.empty(name))
            )
            for name in BOUNDS
        }
        return Measures(counts=counts, tallies=tallies)


def read_measures(stored: Any) -> Measures:
    """Read what a row keeps; nothing where it has none, or another release's that fits nowhere."""
    try:
        return Measures.model_validate(stored or {})
    except ValidationError:
        return Measures()


def total(stored: Iterable[Any]) -> Measures:
    """Return the sum of what rows keep."""
    found = Measures()
    for each in stored:
        found = found.plus(read_measures(each))
    return found


class Recorder:
    """What one worker has measured since its start; any thread may record and read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, float] = dict.fromkeys(COUNTS, 0.0)
        self._tallies = {name: Tally.empty(name) for name in BOUNDS}
        self._peaks: dict[str, float] = {}

    def count(self, name: str, more: int = 1) -> None:
        """Count one more, or several."""
        with self._lock:
            self._counts[name] += more

    def observe(self, name: str, value: float) -> None:
        """Put a value into its bucket."""
        with self._lock:
            self._tallies[name] = self._tallies[name].with_value(name, value)

    def reach(self, name: str, value: float) -> None:
        """Note a value that counts if none was larger."""
        with self._lock:
            self._peaks[name] = max(value, self._peaks.get(name, value))

    def stored(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        with self._lock:
            found = Measures(counts=self._counts, tallies=self._tallies, peaks=self._peaks)
            return found.model_dump(mode="json")
