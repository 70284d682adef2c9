"""Data sets as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.spec.profiles import ColumnProfile, Notice
from ridgeway.views import Dataset, DatasetSummary, Preview
from ridgeway.words import extent, number

MOST_SHOWN = 12  # columns of a preview
MOST_NOTICES = 20  # that are shown


def dataset_table(datasets: Iterable[DatasetSummary]) -> FittingTable:
    """Show data sets, one a line."""
    table = _table("name", "kind", "rows", "columns", "target", "task")
    for dataset in datasets:
        table.add_row(
            Text(dataset.name),
            dataset.kind,
            "" if dataset.rows is None else str(dataset.rows),
            "" if dataset.column_count is None else str(dataset.column_count),
            Text(dataset.target or ""),
            dataset.task or "",
        )
    return table


def show_dataset(dataset: Dataset) -> Iterator[RenderableType]:
    """Show a data set, what is made of its columns, and what to know of them."""
    yield dataset_table([dataset])
    yield column_table(dataset.columns or [])
    yield from notices(dataset.warnings, dataset.columns or [])


def column_table(columns: Iterable[ColumnProfile]) -> FittingTable:
    """Show the columns of a data set, one a line; a plug-in's are not known."""
    table = _table("column", "kind", "missing", "distinct", "range", "made")
    for column in (own.taken_as(own.kind) for own in columns):
        table.add_row(
            Text(column.name),
            column.kind,
            str(column.missing),
            str(column.distinct),
            Text(extent(column.minimum, column.maximum)),
            Text(column.made or ""),
        )
    return table


def preview_table(preview: Preview) -> FittingTable:
    """Show the first rows, of as many columns as a terminal may hold."""
    table = FittingTable(Column(name) for name in preview.columns[:MOST_SHOWN])
    for row in preview.rows:
        cells = row[:MOST_SHOWN]
        table.add_row(*(Text(each if isinstance(each, str) else number(each)) for each in cells))
    return table


def notices(file: Iterable[Notice], columns: Iterable[ColumnProfile]) -> Iterator[Text]:
    """Show what the owner of a file should know, of the file and then of its columns."""
    told = [*file, *(each for column in columns for each in column.warnings)]
    for notice in told[:MOST_NOTICES]:
        yield Text(f"! {notice.sentence} {notice.remedy}")
    if len(told) > MOST_NOTICES:
        yield Text(f"! {len(told) - MOST_NOTICES:,} more: --json shows all.")


def _table(*names: str) -> FittingTable:
    words = ("name", "kind", "target", "task", "column", "range", "made")
    return FittingTable(Column(name, words=name in words) for name in names)
