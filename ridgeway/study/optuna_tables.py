"""Optuna's tables, of its 5.0 and schema v3.2.0.a: private to it, so this is where we name them."""

from __future__ import annotations

import sqlalchemy as sa
from optuna.storages._rdb import models

studies: sa.Table = models.StudyModel.__table__
directions: sa.Table = models.StudyDirectionModel.__table__
study_attributes: sa.Table = models.StudyUserAttributeModel.__table__
study_system_attributes: sa.Table = models.StudySystemAttributeModel.__table__
trials: sa.Table = models.TrialModel.__table__
params: sa.Table = models.TrialParamModel.__table__
values: sa.Table = models.TrialValueModel.__table__
curves: sa.Table = models.TrialIntermediateValueModel.__table__
attributes: sa.Table = models.TrialUserAttributeModel.__table__

# Whatever hangs on a trial, and on a study, by its id.
of_trials: tuple[sa.Table, ...] = (
    params,
    values,
    curves,
    attributes,
    models.TrialSystemAttributeModel.__table__,
    models.TrialHeartbeatModel.__table__,
)
of_studies: tuple[sa.Table, ...] = (
    directions,
    study_attributes,
    study_system_attributes,
)

# A report's number and the kind that says whether it is infinite or NaN, both as stored.
point_of = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
