"""Data sets as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from ridgeway.client.fitting import Column, FittingTable
from ridgeway.views import Dataset, DatasetSummary, Preview
from ridgeway.words import number

MOST_SHOWN = 12  # columns of a preview


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


def column_table(dataset: Dataset) -> FittingTable:
    """Show the columns of a data set, one a line; a plug-in's are not known."""
    table = _table("column", "kind", "missing", "distinct", "minimum", "maximum")
    for column in dataset.columns or []:
        table.add_row(
            Text(column.name),
            column.kind,
            str(column.missing),
            str(column.distinct),
            number(column.minimum),
            number(column.maximum),
        )
    return table


def preview_table(preview: Preview) -> FittingTable:
    """Show the first rows, of as many columns as a terminal may hold."""
    table = FittingTable(Column(name) for name in preview.columns[:MOST_SHOWN])
    for row in preview.rows:
        cells = row[:MOST_SHOWN]
        table.add_row(*(Text(each if isinstance(each, str) else number(each)) for each in cells))
    return table


def _table(*names: str) -> FittingTable:
    words = ("name", "kind", "target", "task", "column")
    return FittingTable(Column(name, words=name in words) for name in names)
