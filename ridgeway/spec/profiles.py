"""Profiles of data sets: what each column holds, known without reading it again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ridgeway.spec.columns import NO_INPUT, NUMERIC, ColumnKind, JobKind
from ridgeway.spec.names import Task
from ridgeway.texts.dates import DATE_KINDS
from ridgeway.texts.numbers import NumberFormat

INFERRED_CLASSES = 20  # a numeric target of more distinct integers than this is a regression's
MAX_LEVELS = 1000  # distinct values of an input column that is a category
FEW_LEVELS = 50  # of more distinct texts than this, half the rows must share theirs


def label_of(value: float | str) -> str:
    """Write a value as the name of a class: whole numbers without a point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(value)


def held_out(count: int, fraction: float) -> int:
    """Return how many of `count` rows are held out: at least one, and at least one stays.

    Service and workers both count by it, so that what is accepted can be split.
    """
    return min(max(1, round(count * fraction)), count - 1)


class Notice(BaseModel):
    """What the owner of a data file should know of it, and what to do about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    sentence: str
    remedy: str


class Counts(BaseModel):
    """What is counted of a column's values: rows without one, and how many differ."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    missing: int
    distinct: int


class ColumnProfile(BaseModel):
    """One column at upload. `rarest_count` is how many rows hold its rarest value.

    dates: whether a category's texts are all dates or times of ISO 8601; None of numbers, and where
    it was never looked at. Profiles of earlier releases have nothing below it: each of their
    columns is a number or a category, as it is stored.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: ColumnKind = Field(description="what a job takes it as, unless its `columns` say more")
    missing: int
    distinct: int
    integral: bool
    minimum: float | None = None
    maximum: float | None = None
    rarest: str | None = None
    rarest_count: int = 0
    dates: bool | None = None
    stored: Literal["number", "text"] | None = None
    made: str | None = Field(default=None, description="what a job makes of it, in a sentence")
    format: NumberFormat | None = Field(
        default=None, description="how its numbers are written, if oddly"
    )
    possible: tuple[ColumnKind, ...] | None = Field(
        default=None, description="numbers or dates that its values can be taken as"
    )
    unlike: Mapping[Literal["number", "date"], str] = Field(
        default={}, description="a text that is no number, one that is no date"
    )
    as_date: Counts | None = Field(
        default=None, description="of texts that are dates: `missing` and `distinct` of their dates"
    )
    warnings: tuple[Notice, ...] = ()

    def taken_as(self, kind: JobKind) -> ColumnProfile:
        """Return the column as what a job takes it as.

        Of dates several texts may be one moment, and others than those of a category none.
        """
        if kind == self.kind and kind not in DATE_KINDS:  # of many columns copies would take long
            return self
        counted = self.as_date if kind in DATE_KINDS else None
        counts = {} if counted is None else counted.model_dump()
        return self.model_copy(update={"kind": kind, **counts})

    @property
    def is_numeric(self) -> bool:
        """Return whether numbers are stored; else texts are."""
        return self.stored_kind == "number"

    @property
    def stored_kind(self) -> Literal["number", "category"]:
        """Return what a job takes the column as of which nothing is said."""
        if self.stored is None:
            return "number" if self.kind == "number" else "category"
        return "number" if self.stored == "number" else "category"

    @property
    def possible_kinds(self) -> tuple[JobKind, ...]:
        """Return what the column's values can be taken as."""
        given: list[JobKind] = [*(self.possible or ())]
        if self.possible is None:
            given = ["number"] if self.is_numeric else ["date"] if self.dates else []
        if self.distinct <= MAX_LEVELS:
            given.append("category")
        return (*given, "drop")

    def can_be(self, kind: JobKind) -> bool:
        """Return whether the column's values can be taken as this kind."""
        return kind in NO_INPUT or kind in self.possible_kinds


class DatasetProfile(BaseModel):
    """Every column of a data set, in order; the last one is the target by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    columns: list[ColumnProfile]
    header: bool | None = Field(
        default=None, description="false of a CSV whose first row holds values"
    )
    warnings: tuple[Notice, ...] = Field(default=(), description="of the file as a whole")

    def column(self, name: str) -> ColumnProfile | None:
        """Return the column of this name; None where there is none."""
        return self._by_name.get(name)

    @property
    def formats(self) -> dict[str, NumberFormat]:
        """Return how the file wrote numbers, of columns where not as programs do."""
        return {own.name: own.format for own in self.columns if own.format is not None}

    @cached_property
    def _by_name(self) -> dict[str, ColumnProfile]:
        return {column.name: column for column in self.columns}

    def where_known(self, target: ColumnProfile) -> DatasetProfile:
        """Return what is known of the rows that have a target: of other columns at most that."""
        known = target.model_copy(update={"missing": 0})
        columns = [known if column is target else column for column in self.columns]
        return self.with_columns(self.rows - target.missing, columns)

    def with_columns(self, rows: int, columns: list[ColumnProfile]) -> DatasetProfile:
        """Return what is known of other rows, or of columns that are taken as something else."""
        return DatasetProfile(
            rows=rows, columns=columns, header=self.header, warnings=self.warnings
        )


def infer_task(target: ColumnProfile) -> Task:
    """Infer classification for categories and for few distinct integers, else regression."""
    if not target.is_numeric or (target.integral and target.distinct <= INFERRED_CLASSES):
        return "classification"
    return "regression"


def is_identifier(column: ColumnProfile, rows: int) -> bool:
    """Return True for texts of too many levels to be an input."""
    if column.is_numeric or column.distinct <= FEW_LEVELS:
        return False
    return column.distinct > MAX_LEVELS or column.distinct * 2 > rows


def encoded_width(column: ColumnProfile) -> int:
    """Return how many inputs a column of this kind becomes: one for each number, level and gap."""
    levels = 1 if column.kind in NUMERIC else column.distinct
    return levels + bool(column.missing)
