"""Complete trials of one study, copied into another within the database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.study.bulk import copy_rows, insert_rows
from ridgeway.study.optuna_tables import attributes as _attributes
from ridgeway.study.optuna_tables import params as _params
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values
from ridgeway.study.writing import places


def copy_trials(
    transaction: Connection, study_id: int, sources: Sequence[int], attributes: Mapping[str, Any]
) -> None:
    """Copy COMPLETE trials, named by their ids, with parameters and values and no curve.

    They get the study's next numbers, in the order of `sources`, and `attributes` instead of their
    own.
    """
    ids, first, moment = places(transaction, study_id, len(sources))
    columns = ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete")
    state = TrialState.COMPLETE.name
    rows = [
        (trial_id, first + index, study_id, state, moment, moment)
        for index, trial_id in enumerate(ids)
    ]
    insert_rows(transaction, _trials, columns, rows)
    pairs = list(zip(ids, sources, strict=True))
    param = ("param_name", "param_value", "distribution_json")
    copy_rows(transaction, _params, "trial_id", param, pairs)
    copy_rows(transaction, _values, "trial_id", ("objective", "value", "value_type"), pairs)
    texts = [(key, json.dumps(value)) for key, value in attributes.items()]
    own = [(trial_id, *text) for trial_id in ids for text in texts]
    insert_rows(transaction, _attributes, ("trial_id", "key", "value_json"), own)
