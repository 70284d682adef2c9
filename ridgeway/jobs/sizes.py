"""How many trials a worker takes at a time: by its device, what the sampler needs, and its pace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Row

ROUNDS = 10  # populations of a search, at least: a sampler needs them to learn
FEWEST = 4  # trials of a population on a CPU, where less gains nothing
USUAL = 64  # trials of a population, at most, where nothing says that more are faster
LAGGING = 0.25  # of the pace of a job's workers on average; below it a worker waits for the others


@dataclass(frozen=True)
class Sizes:
    """Sizes of populations on a device.

    first: of a job's first population, which takes no longer than a smaller one. most: of any.
    """

    first: int
    most: int

    def within(self, limit: int | None) -> Sizes:
        """Return the sizes where a person has set a limit, or none."""
        most = self.most if limit is None else limit
        return Sizes(min(self.first, most), most)

    def measured(self, together: int | None) -> Sizes:
        """Return the sizes for a job of whose members so many share a step best, if that is known.

        Larger populations would only keep the sampler waiting.
        """
        if together is None:
            return self
        return self.within(min(self.most, max(together, USUAL)))


# A GPU waits for launches: there a population of 4 takes as long as one of 64, and one member's
# time falls until some hundreds share a step (docs/decisions/gpu-steps.md).
BY_DEVICE = {"cpu": Sizes(FEWEST, USUAL), "cuda": Sizes(64, 1024)}


@dataclass(frozen=True)
class Pace:
    """What one worker has seen of a job: trials that it trained, and the seconds they took.

    together: how many members share a step of the job's on its device, where that was measured.
    """

    trials: int = 0
    seconds: float = 0.0
    together: int | None = None

    def after(self, trials: int, seconds: float, together: int | None) -> Pace:
        """Return the pace after one more population."""
        return Pace(self.trials + trials, self.seconds + seconds, together)

    @property
    def rate(self) -> float | None:
        """Trials a second; None before there were any."""
        return self.trials / self.seconds if self.seconds > 0 else None


def population_size(trials: int, sizes: Sizes, ordinal: int) -> int:
    """Return the size of a search's next population: the first size, doubled with each ordinal.

    At most a tenth of the trials: a sampler needs its rounds.
    """
    most = max(1, min(sizes.most, trials // ROUNDS))
    return min(most, sizes.first << min(ordinal, 30))


def path_population_size(trials: int, sizes: Sizes) -> int:
    """Return the size of a path's next population: nobody waits for what its trials teach."""
    return max(1, min(sizes.most, trials))


def last_size(size: int, left: int, workers: int, least: int = FEWEST) -> int:
    """Return the size of the next population; near a job's end, a worker's share of what is left.

    So its workers end together (guided self-scheduling, Polychronopoulos & Kuck 1987). A worker
    alone keeps its size. least: trials that take no longer than fewer.
    """
    share = math.ceil(left / max(1, workers))
    return min(size, max(share, least))


def pace_of(row: Row[Any]) -> float | None:
    """Return how many trials of a job ended in a second, since its training began; row: the job's.

    None where there is nothing yet to go by.
    """
    done = row.complete + row.pruned + row.failed
    if not done or row.told_at is None or row.trained_from is None:
        return None
    seconds = row.told_at - row.trained_from
    return done / seconds if seconds > 0 else None


def share_of_pace(row: Row[Any], own: Pace) -> float | None:
    """Return the worker's share, 0 to 1, of that pace; None where one of them is unknown."""
    whole = pace_of(row)
    return None if whole is None or own.rate is None else min(1.0, own.rate / whole)
