"""Whether a job with `"stop": "auto"` ends before its budget is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from optuna.distributions import BaseDistribution
from sqlalchemy.engine import Connection

from ridgeway.jobs.leases import Lease
from ridgeway.jobs.own_trials import own_numbers
from ridgeway.spec.directions import as_loss
from ridgeway.spec.validation import Validation
from ridgeway.study import reading
from workers.loop.workbench import Workbench
from workers.population.results import error_of_differences
from workers.sampling.axes import Indices
from workers.sampling.ending import (
    FEWEST,
    Prospect,
    doublings,
    expected_gain,
    nearest,
    tried_enough,
)
from workers.sampling.space import penalties
from workers.sampling.tpe import COMPLETE, PENDING


def why_enough(
    transaction: Connection,
    lease: Lease,
    bench: Workbench,
    space: Mapping[str, BaseDistribution],
) -> str | None:
    """Return why the search may end now, None where it goes on; the mirror is up to date.

    The study in memory tells all but the folds of the few best trials, which are read.
    """
    trials = int(lease.stored_spec["trials"])  # the bench's spec may be older than an extension
    table = bench.mirror.table
    own = np.array(sorted(own_numbers(transaction, lease.job_id)), np.intp)
    own = own[own < table.size]
    tiers, values, kinds = table.results(own)
    ended, complete = (tiers >= COMPLETE) & (tiers != PENDING), tiers == COMPLETE
    counts = np.bincount(kinds[ended], minlength=len(penalties(space)))
    if complete.sum() < FEWEST or not tried_enough(space, trials, counts):
        return None
    losses = as_loss(values[complete], bench.spec.maximise)
    gain = expected_gain(losses, doublings(int(ended.sum()), trials))
    near = own[complete][nearest(losses)]
    error = _paired_error(transaction, lease.study_id, near, bench.spec.validation)
    if error is None or not Prospect(gain, error).is_spent:
        return None
    return (
        f"The search ended by itself: further trials were expected to gain {gain:.2g}, less than a "
        f"tenth of {error:.2g}, the standard error of differences between the best ones"
    )


def _paired_error(
    transaction: Connection, study_id: int, numbers: Indices, validation: Validation
) -> float | None:
    """Return the paired standard error of trials, the best first; None where folds are missing."""
    found = reading.trials_numbered(transaction, study_id, numbers.tolist())
    folds = {trial.number: trial.facts.fold_values or [] for trial in found}
    ordered = [folds.get(number, []) for number in numbers.tolist()]
    alike = {len(each) for each in ordered}
    if len(alike) != 1 or alike.pop() < 2:
        return None
    if not all(math.isfinite(value) for each in ordered for value in each):
        return None
    return error_of_differences(ordered, validation)
