"""What lists of jobs and trials may be asked for, as parameters of a query."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ridgeway.database.cursors import Keys
from ridgeway.jobs.filters import JobFilter
from ridgeway.jobs.lookups import NEWEST_FIRST, TRIAL_ORDERS
from ridgeway.study.pages import TrialOrder
from ridgeway.views import JobState, TrialState
from service.context import MOST_IN_A_PAGE, OF_THE_PAGE_BEFORE
from service.moments import Moment

_NO_NUL = r"^[^\x00]+$"  # PostgreSQL would refuse the question
_LIMIT: Any = Field(50, ge=1, le=MOST_IN_A_PAGE, description="most items a page")


def _cursor(*lists: Keys) -> Any:
    """Declare the cursor of a list, which may have several orders."""
    pattern = "|".join(keys.pattern for keys in lists)
    return Field(
        None,
        description=OF_THE_PAGE_BEFORE,
        json_schema_extra={"pattern": f"^(?:{pattern})$"},
    )


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
    cursor: str | None = _cursor(NEWEST_FIRST)
    limit: int = _LIMIT

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


class TrialsAsked(BaseModel):
    """Which trials, in which order, and the place in the list."""

    state: TrialState | None = None
    order: TrialOrder = Field("number", description="`value`: the best first")
    cursor: str | None = _cursor(*TRIAL_ORDERS.values())
    limit: int = _LIMIT
