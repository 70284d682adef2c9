"""What the Optuna dashboard says of a job's study: objectives in words, the answer in a note."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.engine import Connection, Row

from ridgeway.answers import Recommended
from ridgeway.spec.losses import objective_label
from ridgeway.spec.spec import JobSpec
from ridgeway.study.notes import name_objectives, write_note

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")  # of Markdown


def name_axes(transaction: Connection, study_id: int, spec: JobSpec) -> None:
    """Name the objectives of a new study as people call them."""
    further = [name.replace("_", " ") for name in spec.further_objectives]
    first = objective_label(spec.objective, spec.loss_name)
    name_objectives(transaction, study_id, [first, *further])


def note_answer(transaction: Connection, row: Row[Any], answer: Recommended) -> None:
    """Write the verdict, and where the report is, into the study's note."""
    verdict = answer.verdict.sentence if answer.verdict else ""
    report = f"/v1/jobs/{row.id}/report"  # of the service that shows the dashboard
    parts = [f"## {plain(row.name)}" if row.name else "", plain(verdict), f"[The report]({report})"]
    write_note(transaction, row.study_id, "\n\n".join(part for part in parts if part))


def plain(text: str) -> str:
    """Write a text so that Markdown shows it as it is, in one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")
