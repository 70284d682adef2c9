"""How long trials took, by the moments that Optuna's tables keep of them."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.study.optuna_tables import trials as _trials


def trial_seconds(
    transaction: Connection, study_id: int, numbers: Sequence[int]
) -> dict[int, float]:
    """Return the seconds from start to end of those of the trials that have ended, by number."""
    rows = transaction.execute(
        sa.select(_trials.c.number, _trials.c.datetime_start, _trials.c.datetime_complete).where(
            _trials.c.study_id == study_id,
            _trials.c.number.in_(numbers),
            _trials.c.datetime_start.is_not(None),
            _trials.c.datetime_complete.is_not(None),
        )
    )
    return {number: (ended - started).total_seconds() for number, started, ended in rows}
