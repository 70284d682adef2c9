"""How nets come down from a dense one: what is penalised when, in a training of a path."""

from __future__ import annotations

from ridgeway.spec.models import LinearModel
from ridgeway.spec.spec import JobSpec

DENSE_SHARE = 0.1  # of the epochs, at most, in which nothing is penalised yet
GROWN_SHARE = 0.6  # of the steps, until strengths have grown to their values


def can_descend(spec: JobSpec) -> bool:
    """Return whether a path of the job's model comes down from a dense one.

    Not with early stopping, as the best epoch of a member may be one before its strength has grown;
    nor do linear models, which end the same from anywhere.
    """
    return spec.early_stopping is None and not isinstance(spec.model, LinearModel)


def descent_steps(epochs: int, each: int) -> tuple[int, int]:
    """Return after how many steps strengths begin to grow, and at which they have grown.

    each: the steps of an epoch. They begin with an epoch, so that members can share what is before.
    """
    return int(DENSE_SHARE * epochs) * each, max(1, round(GROWN_SHARE * epochs * each))
