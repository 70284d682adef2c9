"""Jobs in every state, as pages show them, and what a page's HTML holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any

import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from submitting import submit_resolved

from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome

NASTY = """</title><script>alert(1)</script>"'><img src=x onerror=alert(2)> {{ 7 * 7 }}"""
SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
}
CLAIMANT = Claimant(
    worker_id="worker-1",
    models=frozenset({"linear", "mlp"}),
    datasets=frozenset({"digits"}),
    sizes=Sizes(4, 8),
    lease_seconds=30.0,
    max_attempts=3,
)


def search_on(database: Database) -> None:
    """Have a worker's next population end: of its trials one fails, the others have values."""
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
        assert lease is not None
        params = [{"penalty": "l1", "lambda": 10.0 ** (-1 - own)} for own in range(lease.size)]
        first = holding.reserve(transaction, lease, params, SPACE)
        facts = TrialFacts(standard_error=0.1, nonzero_weights=3.0, weights=5)
        outcomes = [Outcome(first, None, reason="diverged in epoch 1")] + [
            Outcome(number, 1.0 / number, curve=(2.0, 1.0), facts=facts)
            for number in range(first + 1, first + lease.size)
        ]
        held = replace(lease, first_number=first)
        holding.finish_population(transaction, held, outcomes)


def job_in(database: Database, state: str, **fields: Any) -> str:
    """Make a job in the state; return its id. What runs, or has run, has trials."""
    job_id = submit_resolved(database, dataset="digits", trials=40, **fields)
    if state != "queued":
        search_on(database)
        values: dict[str, Any] = {"state": state}
        if state == "failed":
            values["error"] = "None of the 40 trials was complete. Most often: diverged"
        with database.transaction() as transaction:
            transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(values))
    return job_id


@dataclass
class Seen(HTMLParser):
    """The elements of a page: tag and attributes each, and its text."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data

    def all(self, tag: str, name: str) -> list[str]:
        """Return the attribute of each such element that has it."""
        return [own[name] for found, own in self.elements if found == tag and name in own]


def seen(html: str) -> Seen:
    """Read a page."""
    found = Seen()
    found.feed(html)
    return found
