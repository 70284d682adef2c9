"""How often a worker asks the database, beside all the others that ask the same one.

If each worker asked at a pace of its own, questions would grow with the fleet until they were most
of what the database does. So the fleet shares a number of questions a second: of a thousand idle
workers that each ask every five seconds, one hears of a new job sooner than a single worker that
asks ten times a second. Beyond a thousand there are more questions: none asks less often.
"""

from __future__ import annotations

import random
import time

from sqlalchemy.engine import Connection

from ridgeway.fleet import live_workers

QUESTIONS = 200.0  # a second, of all idle workers together, and of all that hold a lease
LONGEST_POLL_SECONDS = 5.0  # so long may it take until the last of them has work
COUNT_SECONDS = 60.0  # between two counts of the workers


class Company:
    """How many live workers a database has, as one of them knows: counted now and then."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._count_at = 0.0  # by the monotonic clock

    def count(self, transaction: Connection, within_seconds: float) -> None:
        """Count the workers seen within that time, unless they were counted lately."""
        now = time.monotonic()
        if now >= self._count_at:
            self._count_at = now + COUNT_SECONDS
            self.workers = max(1, live_workers(transaction, within_seconds))

    def poll_seconds(self, alone: float) -> float:
        """Return after how many seconds an idle worker asks for work again; alone: were it alone.

        A little jitter keeps many from asking in step.
        """
        pause = max(alone, min(self.workers / QUESTIONS, LONGEST_POLL_SECONDS))
        return pause * random.uniform(0.8, 1.2)  # nosec B311 # no secret

    def look_seconds(self, alone: float, most: float) -> float:
        """Return after how many seconds a holder looks again whether its lease is its own."""
        return min(max(alone, self.workers / QUESTIONS), most)
