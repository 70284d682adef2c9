"""Penalties that not every optimizer knows, or not beside every loss, or not ended early."""

from __future__ import annotations

from ridgeway.errors import FieldError
from ridgeway.spec.names import PENALTY_ROWS, PenaltyName, penalty_row
from ridgeway.spec.spec import JobSpec


def penalty_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse penalties that the job's optimizer does not know, or that early stopping belies."""
    unknown = [
        FieldError("penalty" if spec.kind == "path" else f"search.penalty.{place}", name, message)
        for place, name in enumerate(spec.search.penalty)
        if (message := _unknown(spec, name)) is not None
    ]
    return [*unknown, *_early_errors(spec)]


def _early_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse early stopping where a trial's value would be that of a smaller λ than it is told of.

    The best epoch of a strong penalty is one before its strength has grown.
    """
    growing = [name for name in spec.search.penalty if penalty_row(name).grows]
    if spec.early_stopping is None or not growing:
        return []
    message = (
        f"takes a trial as it is at its best epoch, when the λ of {growing[0]} may not have grown "
        "to its value yet; accepted: null"
    )
    return [FieldError("early_stopping", spec.early_stopping.model_dump(), message)]


def _unknown(spec: JobSpec, name: PenaltyName) -> str | None:
    """Return why the optimizer can't have this penalty; None where it can."""
    row = penalty_row(name)
    if row.optimizers is not None and spec.optimizer not in row.optimizers:
        return (
            f"needs an initial fit, which the optimizer {spec.optimizer} has not; accepted: a "
            f"model that is linear, by the optimizer {' or '.join(row.optimizers)}"
        )
    if spec.optimizer == "exact" and spec.loss_name == "quantile" and not row.kinked:
        accepted = ", ".join(each.name for each in PENALTY_ROWS.values() if each.kinked)
        return (
            f"is not known to the optimizer exact beside the loss quantile; accepted: {accepted}, "
            "another loss, or another optimizer"
        )
    return None
