"""Materials of reports: jobs answered in this process from trials that a test names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
from answering import told_trials, training_of
from scripted import make_answered_job

from ridgeway.data.tables import canonical_table, profile_table
from ridgeway.jobs.evidence import columns_of
from ridgeway.model.file import describe
from ridgeway.model.model import Model, read_model
from ridgeway.plots.evidence import Evidence
from ridgeway.report.material import Material
from ridgeway.spec.wording import parse_spec
from workers.answer.artifact import model_bytes
from workers.answer.described import described
from workers.answer.refits import refitted
from workers.data.prepare import check_and_prepare


def refitted_material(
    fields: Mapping[str, Any], frame: pd.DataFrame, params: Mapping[str, Any], **options: Any
) -> tuple[Material, Model]:
    """Return what a report has of a job that recommends a trial with `params`, and its model."""
    trials = {} if fields.get("kind") == "path" else {"trials": 5}
    prepared = check_and_prepare(parse_spec({**trials, **fields}), frame)
    (trial,) = told_trials(dict(params))
    refit = refitted({"simplest": trial}, prepared, training_of(prepared)).by_role["simplest"]
    data = model_bytes(refit, prepared, prepared.sealed())
    answered = make_answered_job()
    assert answered.recommended is not None
    chosen = described(refit, prepared)
    answer = answered.recommended.model_copy(
        update={"choice": "simplest", "simplest": chosen, "best": chosen}
    )
    job = answered.model_copy(update={"spec": prepared.spec, "recommended": answer})
    profile = profile_table(canonical_table(pa.Table.from_pandas(frame, preserve_index=False)))
    evidence = Evidence(
        job=job,
        spec=prepared.spec,
        answer=answer,
        path=None,
        features=None,
        shown=None,
        trials=columns_of([trial], 1),
    )
    return Material(evidence, profile, describe(data), **options), read_model(data)
