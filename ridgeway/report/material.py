"""What a report is made of; `ridgeway.jobs.reporting` gathers it."""

from __future__ import annotations

from dataclasses import dataclass

from ridgeway.model.file import Description
from ridgeway.plots.evidence import Evidence
from ridgeway.spec.profiles import DatasetProfile


@dataclass(frozen=True)
class Material:
    """A job's evidence, and what else its report tells; what there is not is None.

    profile: of the data set, every column. description: what the file of the recommended model
    says of it. epochs: for how many the recommended trial was trained, where that is not the job's.
    bundled: whether the data set comes with scikit-learn.
    """

    evidence: Evidence
    profile: DatasetProfile | None = None
    description: Description | None = None
    epochs: int | None = None
    bundled: bool = False
