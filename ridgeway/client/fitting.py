"""Tables that fit the terminal: columns narrow to whole words, or rows become lists of facts.

rich cuts a word that has no room (`recommen…`); here no word is cut that a line could hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

GAP = 2  # blanks between two columns
UNBOUNDED = 10_000  # columns: what a cell would like to have
LONG_WORD = 24  # characters: a longer one is broken, so that a name can't spoil the table


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether it holds words or numbers.

    whole: its cells are never broken, as an id that is copied from the screen. enough: so many
    first characters of a cell stand for it where there is no room for all of them.
    """

    name: str
    words: bool = False
    whole: bool = False
    enough: int | None = None


@dataclass(frozen=True)
class Row:
    """The cells of a line, and the style of all."""

    cells: Sequence[Text]
    style: str = ""


class FittingTable:
    """A table as wide as the terminal allows; where its words can't stand side by side, a list.

    table = FittingTable([Column("name", words=True), Column("rows")])
    table.add_row("wine", "178")
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        self.columns = list(columns)
        self.rows: list[Row] = []

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        """Add a line, a cell for each column."""
        made = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        self.rows.append(Row(made, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - GAP * (len(self.columns) - 1)
        for rows in (self.rows, [self._shortened(row) for row in self.rows]):
            wanted = [self._measure(console, rows, place) for place in range(len(self.columns))]
            if sum(each.minimum for each in wanted) <= room:
                yield self._side_by_side(rows, _widths(wanted, room))
                return
        yield Group(*self._one_below_the_other())

    def _shortened(self, row: Row) -> Row:
        cells = [
            cell[: column.enough] if column.enough is not None else cell
            for column, cell in zip(self.columns, row.cells, strict=True)
        ]
        return Row(cells, row.style)

    def _measure(self, console: Console, rows: Sequence[Row], place: int) -> Measurement:
        column = self.columns[place]
        options = console.options.update_width(UNBOUNDED)
        cells = [Text(column.name), *(row.cells[place] for row in rows)]
        found = [Measurement.get(console, options, cell) for cell in cells]
        longest = max(each.maximum for each in found)
        word = min(LONG_WORD, max(each.minimum for each in found))
        return Measurement(longest if column.whole else word, longest)

    def _side_by_side(self, rows: Sequence[Row], widths: Sequence[int]) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0)
        )
        for column, width in zip(self.columns, widths, strict=True):
            justify = "left" if column.words else "right"
            table.add_column(column.name, justify=justify, width=width, overflow="fold")
        for row in rows:
            table.add_row(*row.cells, style=row.style)
        return table

    def _one_below_the_other(self) -> Iterable[RenderableType]:
        for row in self.rows:
            table = Table.grid(padding=(0, GAP))
            table.add_column(style="dim", overflow="fold")
            table.add_column(overflow="fold")
            for column, cell in zip(self.columns, row.cells, strict=True):
                if cell.plain:
                    table.add_row(column.name, cell, style=row.style)
            yield table
            yield ""


def _widths(wanted: Sequence[Measurement], room: int) -> list[int]:
    """Return the columns' widths: no less than whole words, and what is left shared by needs."""
    widths = [each.minimum for each in wanted]
    left = room - sum(widths)
    order = sorted(range(len(wanted)), key=lambda place: wanted[place].span)
    for before, place in enumerate(order):
        given = min(wanted[place].span, left // (len(order) - before))
        widths[place] += given
        left -= given
    return widths
