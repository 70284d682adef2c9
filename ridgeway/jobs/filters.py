"""Which jobs a list is to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from ridgeway.database.tables import datasets, jobs
from ridgeway.views import JobState


@dataclass(frozen=True)
class JobFilter:
    """What the jobs of a list have in common; nothing is asked of them by default.

    states: any of them. dataset: as the jobs named it, or the id or present name of an upload.
    name: a part of it, whatever the case (on SQLite, of ASCII letters). since, before: when they
    were submitted, the end excluded. beginning: how their ids begin.
    """

    states: Sequence[JobState] = ()
    dataset: str | None = None
    name: str | None = None
    kind: Literal["search", "path"] | None = None
    since: datetime | None = None
    before: datetime | None = None
    beginning: str | None = None

    def narrow(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Return the query with these conditions."""
        return query.where(*self._conditions())

    def _conditions(self) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = []
        if self.states:
            found.append(jobs.c.state.in_(self.states))
        if self.dataset is not None:
            found.append(_uses(self.dataset))
        if self.name is not None:
            found.append(jobs.c.name.icontains(self.name, autoescape=True))
        if self.kind is not None:
            # Specs of early releases tell no kind.
            kind = sa.func.coalesce(jobs.c.spec["kind"].as_string(), "search")
            found.append(kind == self.kind)
        if self.since is not None:
            found.append(jobs.c.created_at >= self.since.timestamp())
        if self.before is not None:
            found.append(jobs.c.created_at < self.before.timestamp())
        if self.beginning is not None:
            found.append(jobs.c.id.startswith(self.beginning, autoescape=True))
        return found


def _uses(dataset: str) -> sa.ColumnElement[bool]:
    called = sa.select(datasets.c.id).where(datasets.c.name == dataset)
    by_id = (jobs.c.dataset_id == dataset) | jobs.c.dataset_id.in_(called)
    return (jobs.c.dataset == dataset) | by_id
