"""What a list of jobs may be asked for, as parameters of a query."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from ridgeway.jobs.filters import JobFilter
from ridgeway.jobs.lookups import NEWEST_FIRST
from ridgeway.views import JobState
from service.context import MOST_IN_A_PAGE, OF_THE_PAGE_BEFORE
from service.moments import Moment

_NO_NUL = r"^[^\x00]+$"  # PostgreSQL would refuse the question


class JobsAsked(BaseModel):
    """Filters, all of which a job has to pass, and the place in the list."""

    state: list[JobState] = Field([], description="any of these states")
    dataset: str | None = Field(
        None,
        max_length=200,
        pattern=_NO_NUL,
        description="as the jobs named it, or an upload's id or present name",
    )
    name: str | None = Field(
        None, max_length=200, pattern=_NO_NUL, description="a part of it, whatever the case"
    )
    kind: Literal["search", "path"] | None = None
    since: Moment | None = Field(None, description="submitted then or later")
    before: Moment | None = Field(None, description="submitted before then")
    id: str | None = Field(None, pattern="^[0-9a-f-]{1,36}$", description="how the ids begin")
    cursor: str | None = Field(
        None,
        description=OF_THE_PAGE_BEFORE,
        json_schema_extra={"pattern": f"^(?:{NEWEST_FIRST.pattern})$"},
    )
    limit: int = Field(50, ge=1, le=MOST_IN_A_PAGE, description="most items a page")

    @property
    def wanted(self) -> JobFilter:
        """Return which jobs these are."""
        return JobFilter(
            states=self.state,
            dataset=self.dataset,
            name=self.name,
            kind=self.kind,
            since=self.since,
            before=self.before,
            beginning=self.id,
        )
