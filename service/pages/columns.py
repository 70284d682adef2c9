"""What a job makes of the columns of a data set, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ridgeway.spec.profiles import ColumnProfile, infer_task, is_identifier
from ridgeway.views import Dataset
from ridgeway.words import count, extent

MOST_SHOWN = 500
NOT_HERE = ("missing_target",)  # not so of a job that comes from the page
KINDS = {"date_day_first": "date, day first", "date_month_first": "date, month first"}


@dataclass(frozen=True)
class Column:
    """A column as the page shows it. kinds: what else than `kind` a job may take it as."""

    name: str
    kind: str
    kinds: list[str]
    missing: int
    share_missing: float
    distinct: int
    range: str
    made: str
    notices: list[str]  # what its owner should know, and do
    is_target: bool
    unfit: bool  # no job takes it as an input


def shown_columns(dataset: Dataset) -> list[Column]:
    """Return the first columns, and the target wherever it stands."""
    found = dataset.columns or []
    shown = [own for own in found[:MOST_SHOWN] if own.name != dataset.target]
    target = [own for own in found if own.name == dataset.target]
    return [_shown(own, dataset) for own in (*target, *shown)]


def _shown(own: ColumnProfile, dataset: Dataset) -> Column:
    rows, is_target = dataset.rows or 0, own.name == dataset.target
    own = own if is_target else own.taken_as(own.kind)
    # What was told to be none at upload is left out unless a job says what to take it as.
    unfit = own.kind == "category" and is_identifier(own, rows) and not is_target
    return Column(
        name=own.name,
        kind=KINDS.get(own.kind, own.kind),
        kinds=[kind for kind in own.possible_kinds if kind not in (own.kind, "drop")],
        missing=own.missing,
        share_missing=own.missing / rows if rows else 0.0,
        distinct=own.distinct,
        range=extent(own.minimum, own.maximum),
        made=_made_of_target(own) if is_target else _made_of_input(own, unfit),
        notices=notices_of(own, NOT_HERE if is_target else ()),
        is_target=is_target,
        unfit=unfit,
    )


def notices_of(own: ColumnProfile | Dataset, but: Sequence[str] = ()) -> list[str]:
    """Return what was noticed when the file was read, of a column or of the file as a whole."""
    return [f"{each.sentence} {each.remedy}" for each in own.warnings if each.code not in but]


def _made_of_target(own: ColumnProfile) -> str:
    if own.distinct < 2:
        return "Has one value only: there is nothing to predict."
    rows = count(own.missing, "row")
    gaps = f" {rows} without it: the form leaves them out." if own.missing else ""
    if infer_task(own) == "classification":
        return f"Predicted: {count(own.distinct, 'class', 'classes')}.{gaps}"
    return f"Predicted, as a number.{gaps}"


def _made_of_input(own: ColumnProfile, unfit: bool) -> str:
    if own.made:  # whoever read the file knows best
        return f"{own.made[0].upper()}{own.made[1:]}."
    if unfit:
        return "An identifier or free text, no input for new rows: leave it out."
    if own.distinct < 2:
        return "Has one value only, and so tells nothing: it gets no weight."
    if own.kind == "category":
        gaps = " and one for missing" if own.missing else ""
        return f"One-hot: {count(own.distinct, 'column')} of 0 and 1{gaps}, standardised."
    gaps = "; gaps filled with the median, and marked in a column" if own.missing else ""
    return f"Standardised to mean 0 and deviation 1{gaps}."
