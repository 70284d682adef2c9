"""The note of a study that the Optuna dashboard shows beside it, and the names of its axes.

The dashboard keeps a note as system attributes: its version, and its text in pieces that fit into a
column (optuna_dashboard/_note.py of 0.21); Optuna keeps the names of objectives as one, which
`Study.set_metric_names` sets.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.study.optuna_tables import study_system_attributes as _attributes

VERSION = "dashboard:note_ver"
PIECES = "dashboard:note_str:"
PIECE = 2045  # characters
METRICS = "study:metric_names"


def write_note(transaction: Connection, study_id: int, text: str) -> None:
    """Put a Markdown text into the study's note, in place of what it says.

    Its version grows, so that a dashboard that shows an earlier one does not overwrite it.
    """
    version = _read(transaction, study_id, VERSION)
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    earlier = _attributes.c.key.startswith(PIECES, autoescape=True)
    of_study = _attributes.c.study_id == study_id
    transaction.execute(sa.delete(_attributes).where(of_study, earlier))
    for place, piece in enumerate(pieces):
        _write(transaction, study_id, f"{PIECES}{place}", piece)
    _write(transaction, study_id, VERSION, (version if isinstance(version, int) else 0) + 1)


def name_objectives(transaction: Connection, study_id: int, names: Sequence[str]) -> None:
    """Name the study's objectives, as its plots and tables show them."""
    _write(transaction, study_id, METRICS, list(names))


def _read(transaction: Connection, study_id: int, key: str) -> Any:
    query = sa.select(_attributes.c.value_json).where(
        _attributes.c.study_id == study_id, _attributes.c.key == key
    )
    found = transaction.execute(query).scalar_one_or_none()
    return None if found is None else json.loads(found)


def _write(transaction: Connection, study_id: int, key: str, value: Any) -> None:
    of_key = (_attributes.c.study_id == study_id) & (_attributes.c.key == key)
    transaction.execute(sa.delete(_attributes).where(of_key))
    row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
    transaction.execute(sa.insert(_attributes).values(row))
