"""What is made of each column of a data set: its kind, a sentence, and what its owner should know.

A column that tells nothing of new rows is left out of jobs by default: an identifier, free text, a
constant. A job's `columns` has the last word.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# pyarrow ships no types.

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.compute

from ridgeway.data.notes import notes_of
from ridgeway.data.settling import date_kinds, is_mixed, number_format, unlike_date, where_known
from ridgeway.data.tables import Table, profile_table
from ridgeway.spec.columns import ColumnKind
from ridgeway.spec.profiles import (
    FEW_LEVELS,
    ColumnProfile,
    Counts,
    DatasetProfile,
    Notice,
    is_identifier,
)
from ridgeway.texts.dates import DATE_KINDS, EXAMPLES, MEANING, DateKind, days
from ridgeway.texts.numbers import NumberFormat

pc: Any = pyarrow.compute  # its functions are made when it is imported: unknown to pyright

FEWEST_UNIQUE = 10  # rows of which each has a text of its own, before that is no chance
FEWEST_COUNTED = 20  # rows that are numbered one by one, likewise
WORDS = 4.0  # a text in the mean, from which texts are sentences rather than names
MOST_SHOWN = 50  # characters of a value


def judged_profile(table: Table, *, numbers: bool = True) -> DatasetProfile:
    """Return the profile of a canonical table with what is made of each column.

    numbers: whether to leave out constants and running numbers, too; else columns of numbers are
    inputs as they are.
    """
    plain, notes = profile_table(table), notes_of(table)
    columns: list[ColumnProfile] = []
    for own, values in zip(plain.columns, table.columns, strict=True):
        told = notes.columns.get(own.name, ())
        judge = _Judge(own, values, plain.rows, notes.formats.get(own.name))
        columns.append(judge.numbers(told, numbers) if own.kind == "number" else judge.texts(told))
    columns[-1] = _target(columns[-1], plain.rows)
    return DatasetProfile(
        rows=plain.rows, columns=columns, header=notes.header, warnings=notes.file
    )


def _target(column: ColumnProfile, rows: int) -> ColumnProfile:
    """Return the last column as what it is by default: the target."""
    told: tuple[Notice, ...] = ()
    if column.missing:
        told = (
            Notice(
                code="missing_target",
                sentence=f"{column.missing:,} of {rows:,} rows have no '{column.name}', which is "
                "the target by default: a job that predicts it is refused.",
                remedy='`"missing_target": "drop"` leaves such rows out.',
            ),
        )
    kept = tuple(each for each in column.warnings if each.code in ("ambiguous_numbers",))
    made = f"the target by default; as an input: {column.made}"
    return column.model_copy(update={"made": made, "warnings": (*told, *kept)})


@dataclass(frozen=True)
class _Judge:
    """One column, looked at. values: its numbers or texts. format: how a file wrote its numbers."""

    own: ColumnProfile
    values: Any
    rows: int
    format: NumberFormat | None

    def numbers(self, told: tuple[Notice, ...], strict: bool) -> ColumnProfile:
        """Judge a column of numbers."""
        kind: ColumnKind = "number"
        if strict and _is_constant(self.own):
            kind = "constant"
        elif strict and self._is_counted():
            kind = "identifier"
        possible: tuple[ColumnKind, ...] = ("number",)
        return self._made(kind, possible, {}, told)

    def texts(self, told: tuple[Notice, ...]) -> ColumnProfile:
        """Judge a column of texts."""
        begins_dated = bool(date_kinds(self._known[:1].to_pylist()))
        dates = date_kinds(self._levels) if begins_dated else []
        written = number_format(self._known)
        unlike = {}
        if not dates and len(self._known):
            unlike["date"] = first = self._known[0].as_py()
            for kind in DATE_KINDS if begins_dated else ():
                met = unlike_date(self._levels, kind)
                if met is not None and met != first:
                    unlike["date"] = met
        if written is None and len(self._known):
            unlike["number"] = self._no_number()
        unlike = {name: text[:MOST_SHOWN] for name, text in unlike.items()}
        possible: tuple[ColumnKind, ...] = (*dates,)
        if written is not None:
            possible = (*possible, "number")
        kind, more = self._kind_of_texts(dates[0] if dates else None, written)
        if len(dates) > 1:
            more = (*more, self._two_orders())
        return self._made(kind, possible, unlike, (*told, *more), written)

    def _counted(self, possible: tuple[ColumnKind, ...]) -> Counts | None:
        """Count the dates that the texts are, by whichever order fits; None of no dates."""
        dates: list[DateKind] = [kind for kind in DATE_KINDS if kind in possible]
        if not dates:
            return None
        missing = where_known(self.values).null_count
        distinct = min(len({days(text, kind) for text in self._levels}) for kind in dates)
        return Counts(missing=missing, distinct=distinct)

    def _kind_of_texts(
        self, date: Any, written: NumberFormat | None
    ) -> tuple[ColumnKind, tuple[Notice, ...]]:
        if date is not None:
            return date, ()
        if _is_constant(self.own):
            return "constant", ()
        mixed = (self._mixed(),) if written is None and is_mixed(self._known) else ()
        known = self.rows - self.own.missing
        unique = self.own.distinct == known >= FEWEST_UNIQUE
        if not (is_identifier(self.own, self.rows) or unique):
            return "category", mixed
        if written is not None and not self._is_code() and self.own.distinct > FEW_LEVELS:
            return "number", mixed
        words = pc.mean(pc.add(pc.count_substring(self._known, " "), 1)).as_py() or 0.0
        return ("text" if words >= WORDS else "identifier"), mixed

    def _made(
        self,
        kind: ColumnKind,
        possible: tuple[ColumnKind, ...],
        unlike: dict[str, str],
        told: tuple[Notice, ...],
        written: NumberFormat | None = None,
    ) -> ColumnProfile:
        own = self.own
        more = {
            "kind": kind,
            "stored": "number" if own.kind == "number" else "text",
            "format": self.format,
            "possible": possible,
            "unlike": unlike,
            "as_date": self._counted(possible),
        }
        changed = own.model_copy(update=more)
        warnings = (*told, *_left_out(changed))
        made = _sentence(changed.taken_as(kind), self.format or written)
        return changed.model_copy(update={"made": made, "warnings": warnings})

    # --- what values are --------------------------------------------------------------------------

    @cached_property
    def _known(self) -> Any:
        """Return each text once, without those that stand for no value."""
        return pc.unique(pc.drop_null(where_known(self.values)))

    @cached_property
    def _levels(self) -> list[str]:
        """Return the same as a list, which takes several times the memory: only where dates are."""
        return self._known.to_pylist()

    def _is_counted(self) -> bool:
        """Return whether the rows are numbered one by one."""
        own = self.own
        if self.rows < FEWEST_COUNTED or own.missing or own.distinct < self.rows:
            return False
        if not own.integral or own.minimum is None or own.maximum is None:
            return False
        if own.maximum - own.minimum != self.rows - 1:
            return False
        places = pc.subtract(self.values.combine_chunks(), own.minimum)
        return bool(pc.equal(pc.sum(pc.abs(pc.pairwise_diff(places))), self.rows - 1).as_py())

    def _is_code(self) -> bool:
        """Return whether digits are an id rather than a number: too long, or begun by 0."""
        long = pc.match_substring_regex(self._known, r"^[+-]?([0-9]{16,}|0[0-9]+)$")
        return bool(pc.any(long).as_py())

    def _no_number(self) -> str:
        """Return a text that is no number, the first that no program writes as one."""
        plain = pc.match_substring_regex(self._known, NumberFormat().pattern)
        place = pc.index(plain, False).as_py()
        return self._known[max(place, 0)].as_py()

    # --- what is told -----------------------------------------------------------------------------

    def _two_orders(self) -> Notice:
        met = self._levels[0][:MOST_SHOWN]
        return Notice(
            code="ambiguous_dates",
            sentence=f"'{met}' and all others could have the day or the month first; the day is "
            "taken to be.",
            remedy=f'`"columns": {{"{self.own.name}": "date_month_first"}}` takes the month first.',
        )

    def _mixed(self) -> Notice:
        return Notice(
            code="mixed_numbers",
            sentence="The texts look like numbers, but of more than one convention, so that none "
            "can be read; they stay texts.",
            remedy="Write the whole column with a decimal point and no thousands.",
        )


def _is_constant(own: ColumnProfile) -> bool:
    """Return whether no row differs from another: by a value, or by having none."""
    return own.distinct == 0 or (own.distinct == 1 and not own.missing)


def _left_out(own: ColumnProfile) -> tuple[Notice, ...]:
    reasons = {
        "identifier": f"tells rows apart ({own.distinct:,} different values)",
        "text": f"holds free text ({own.distinct:,} different ones)",
        "constant": "holds no value" if not own.distinct else "holds one value only",
    }
    if own.kind not in reasons:
        return ()
    possible = [kind for kind in own.possible_kinds if kind != "drop"]
    kinds = " or ".join(f'"{kind}"' for kind in possible)
    remedy = f'`"columns": {{"{own.name}": KIND}}` takes it in as {kinds}.'
    return (
        Notice(
            code=own.kind,
            sentence=f"'{own.name}' {reasons[own.kind]} and is left out.",
            remedy=remedy if possible else "What it says of a row is to be told in columns.",
        ),
    )


def _sentence(own: ColumnProfile, written: NumberFormat | None) -> str:
    """Say what a job makes of a column."""
    gaps = "; where missing their median, and an input that tells so" if own.missing else ""
    if own.kind == "number":
        odd = "" if written is None or written.is_plain else f", written like {written.example}"
        return f"a number{odd}{gaps}"
    if own.kind == "category":
        levels = f"an input for each of {own.distinct:,} values"
        return levels + (", and one where missing" if own.missing else "")
    if own.kind in DATE_KINDS:
        return f"a date like {EXAMPLES[own.kind]}: {MEANING}{gaps}"
    names = {"identifier": "an identifier", "text": "free text", "constant": "a constant"}
    return f"{names[own.kind]}: left out"
