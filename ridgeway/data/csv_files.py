"""CSV: the delimiter told, every cell read as text, and each column's kind from all its cells.

Rows count as a spreadsheet shows them: the header is row 1.
"""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false
# pyarrow ships no types.

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as arrow_csv

from ridgeway.data.aside import Aside
from ridgeway.data.headers import Header, holds_names
from ridgeway.data.notes import Notes, with_notes
from ridgeway.data.settling import Settled, ambiguous, settled
from ridgeway.data.tables import (
    LARGEST_EXACT,
    MAX_TEXT,
    TOO_LONG,
    Table,
    bad_file,
    canonical_columns,
    check_names,
    check_text_bytes,
)
from ridgeway.errors import InvalidInput
from ridgeway.spec.profiles import Notice
from ridgeway.texts.encodings import blocks, utf8_file
from ridgeway.texts.missing import MISSING
from ridgeway.texts.numbers import NumberFormat

pc: Any = pyarrow.compute  # its functions are made when it is imported: unknown to pyright

BLOCK = 2**22  # bytes that are parsed at once, of which Arrow reads 32 ahead, or a row's most
MOSTLY_NUMBERS = 0.95  # of a column's texts: then the others are taken for mistakes
PER_COLUMN = MAX_TEXT  # bytes of a row for each column, where that is more
LARGEST_BLOCK = 2**31 - 1  # that Arrow can count
MOST_SAMPLED = 200  # rows that tell whether the first one holds names
MOST_SAMPLED_BYTES = 2**22  # a header longer than this is no header
FEW_NUMBERS = 20  # distinct numbers that may stand for categories beside texts


def read_csv(file: BinaryIO, max_rows: int, max_columns: int, header: Header = "auto") -> Table:
    """Read a CSV as a canonical table, with notes; without a header `column_1` and so on.

    In UTF-8, UTF-16 with its mark, or Windows-1252. The delimiter is told from the first row. NaN,
    NA, N/A, null, None, ? and nothing are missing.

    The file is read a block after the other, and one column at a time is in memory. What is
    returned lies in a file.
    """
    with tempfile.TemporaryFile() as recoded:
        text, strange = utf8_file(file, recoded)
        told = () if strange is None else (_encoded(strange),)
        start = text.tell()
        looks = _looked_at(text)
        text.seek(start)
        delimiter, first, below = _first_rows(_head(text))
        if len(first) > max_columns:
            raise bad_file(f"has {len(first):,} columns; at most {max_columns:,}")
        named = header == "true" or (header == "auto" and holds_names(first, below))
        names = [name.strip() for name in first]
        if not named:
            names = [f"column_{place}" for place in range(1, len(first) + 1)]
        _check_header(names, named=named)
        if looks.newlines > max_rows + 1:
            raise bad_file(f"has more than {max_rows:,} rows")
        text.seek(start)
        cells = _parse(text, looks, delimiter, names).slice(1 if named else 0)
    table, columns = _kept(cells.rename_columns(names), delimiter, 1 + named)
    if not named and header == "auto":
        told += (_no_header(first),)
    return with_notes(table, _notes(columns, named, told))


def _kept(cells: Table, delimiter: str, above: int) -> tuple[Table, dict[str, Settled]]:
    """Return a canonical table of columns of texts, and what there is to tell of each."""
    told: dict[str, Settled] = {}
    with Aside() as kept:
        for name, texts in zip(cells.column_names, cells.columns, strict=True):
            check_text_bytes(name, texts)
            found = _typed(name, texts, delimiter, above)
            made = canonical_columns(pa.table({name: found.values}), above)
            kept.add(made.schema, made.to_batches())
            told[name] = replace(found, values=None)
        return kept.table(), told


def _notes(columns: dict[str, Settled], named: bool, told: tuple[Notice, ...]) -> Notes:
    formats = {name: each.format for name, each in columns.items() if each.format is not None}
    warned = {name: each.warnings for name, each in columns.items() if each.warnings}
    return Notes(formats=formats, header=None if named else False, file=told, columns=warned)


def _check_header(names: list[str], *, named: bool) -> None:
    try:
        check_names(names)
    except InvalidInput as error:
        if not named or len(names) < 2:
            raise
        message = f"{error.errors[0].message}; a file without names takes `header=false`"
        raise bad_file(message) from None


def _no_header(first: list[str]) -> Notice:
    met = ", ".join(cell.strip()[:20] for cell in first[:4])
    return Notice(
        code="no_header",
        sentence=f"The first row ({met}{', ...' if len(first) > 4 else ''}) looks like values, so "
        f"it is a row, and columns are called column_1 to column_{len(first)}.",
        remedy="If it holds names, bring the file with `header=true`.",
    )


def _encoded(row: int) -> Notice:
    return Notice(
        code="encoding",
        sentence=f"The file is not UTF-8 (row {row}) and was read as Windows-1252 (Latin-1).",
        remedy="If letters look strange in names or categories, save the file as UTF-8.",
    )


@dataclass(frozen=True)
class _Looks:
    """What the bytes of a file tell before they are parsed."""

    size: int
    newlines: int
    quotes: int


def _looked_at(file: BinaryIO) -> _Looks:
    size = newlines = quotes = 0
    is_empty = True
    for block in blocks(file):
        nul = block.find(b"\x00")
        if nul >= 0:
            row = newlines + block.count(b"\n", 0, nul) + 1
            raise bad_file(f"row {row}: met a NUL byte; accepted: CSV (gzip too), Parquet, npz")
        is_empty = is_empty and not block.strip()
        size += len(block)
        newlines += block.count(b"\n")
        quotes += block.count(b'"')
    if is_empty:
        raise bad_file("is empty")
    return _Looks(size, newlines, quotes)


def _head(file: BinaryIO) -> bytes:
    """Return the first bytes of a file that has some, from its first row that is not empty."""
    head = b""
    while not head:
        head = file.read(MOST_SAMPLED_BYTES).lstrip(b"\r\n")
    return head + file.read(MOST_SAMPLED_BYTES - len(head))


def _first_rows(head: bytes) -> tuple[str, list[str], list[list[str]]]:
    """Find the delimiter that gives the first row most columns, that row, and some below it."""
    text = head.decode(errors="ignore")
    best: tuple[str, list[list[str]]] = (",", [[""]])
    broken: list[csv.Error] = []
    for delimiter in (",", ";", "\t"):
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            first = next(rows, [""])
        except csv.Error as error:  # a long header is one cell by what is not its delimiter
            broken.append(error)
            continue
        if len(first) > len(best[1][0]):
            best = (delimiter, [first, *_few(rows)])
    if broken and len(best[1][0]) == 1:
        raise bad_file(f"row 1: {broken[0]}")
    delimiter, (first, *below) = best
    if len(first) == 1:
        raise bad_file(
            "row 1: no comma, semicolon or tab between columns; needs two columns or more"
        )
    return delimiter, first, below


def _few(rows: Iterator[list[str]]) -> list[list[str]]:
    """Return some rows; what breaks one is told when all are read."""
    found: list[list[str]] = []
    with suppress(csv.Error):
        found.extend(islice(rows, MOST_SAMPLED))
    return found


def _native(file: BinaryIO) -> Any:
    """Return the file as one of Arrow's own, from where it stands.

    Arrow reads ahead in a thread of its own, also after a row was refused. If that had to call
    Python while the process ends, it would abort it.
    """
    try:
        native = pa.OSFile(f"/proc/self/fd/{file.fileno()}", "r")
    except OSError:  # in memory, where no read takes long
        return pa.PythonFile(file, "r")
    native.seek(file.tell())
    return native


@dataclass
class _Reading:
    """How far a file has been parsed. names: of its columns; broken: the row that ends it."""

    names: list[str]
    rows: int = 0
    broken: Any = None

    def keep(self, row: Any) -> str:
        """Keep a row that has more or fewer cells than the first; Arrow ends there."""
        self.broken = row
        return "error"

    def checked(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield batches of rows; the first cell that is too long ends the reading."""
        for batch in batches:
            for name, texts in zip(self.names, batch.columns, strict=True):
                if (place := _first_too_long(texts)) >= 0:
                    raise bad_file(f"column '{name}', row {self.rows + place + 1}: {TOO_LONG}")
            self.rows += len(batch)
            yield batch

    def why(self, error: Exception, block: int) -> InvalidInput:
        """Return what is told of a file that can't be parsed."""
        if self.broken is not None:
            met, wanted = self.broken.actual_columns, self.broken.expected_columns
            values = "value" if met == 1 else "values"
            return bad_file(f"row {self.broken.number} has {met} {values}, the header {wanted}")
        if "straddling" in str(error):
            where = f"a row after row {self.rows}" if self.rows else "a row"
            met = f"{where} has more than {block:,} bytes"
            return bad_file(f"{met}; is a quote opened and never closed?")
        return bad_file(f"is a broken CSV file: {str(error)[:300]}")


def _first_too_long(texts: pa.Array) -> int:
    """Return the place of the first text of more characters than one may have; -1 for none."""
    if texts.nbytes <= MAX_TEXT or (pc.max(pc.binary_length(texts)).as_py() or 0) <= MAX_TEXT:
        return -1
    long = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), MAX_TEXT)
    return pc.index(long, pa.scalar(True)).as_py()


def _parse(file: BinaryIO, looks: _Looks, delimiter: str, names: list[str]) -> pa.Table:
    """Read every cell as text: a column's kind is told from all of it, not from its first rows."""
    reading = _Reading(names)
    places = [str(place) for place in range(len(names))]
    block = min(max(BLOCK, PER_COLUMN * len(names)), LARGEST_BLOCK)
    try:
        with (
            Aside() as kept,
            arrow_csv.open_csv(
                _native(file),
                read_options=arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=min(looks.size + 1, block),
                    column_names=places,
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=reading.keep
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    strings_can_be_null=True,
                    null_values=list(MISSING),
                ),
            ) as reader,
        ):
            kept.add(reader.schema, reading.checked(reader))
            (table,) = kept.tables()
    except (pa.ArrowException, OverflowError) as error:
        raise reading.why(error, block) from None
    if looks.quotes % 2 and "\n" in (table.column(len(names) - 1)[-1].as_py() or ""):
        raise bad_file(f"row {len(table)}: a quote is opened and never closed")
    return table


def _typed(name: str, texts: pa.ChunkedArray, delimiter: str, above: int) -> Settled:
    """Read numbers where every text is one, else texts; refuse a stray text among numbers.

    above: rows of the file before the first of these.
    """
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.is_in(texts, pa.array(MISSING)), pa.scalar(None, pa.string()), texts)
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        found = settled(texts, comma_first=delimiter == ";", plain=True)
        if found.values is texts:
            _refuse_stray_text(name, texts, above)
        return Settled(texts) if _is_id(texts) else found
    if _is_id(texts) or _is_code(texts):
        return Settled(texts)
    told = ambiguous(texts, NumberFormat()) if delimiter == ";" else ()
    return Settled(numbers, None, told)


def _is_code(texts: pa.ChunkedArray) -> bool:
    """Return whether texts are digits of which some begin with 0, which a number would lose."""
    known = pc.drop_null(texts)
    if not pc.any(pc.match_substring_regex(known, "^0[0-9]+$")).as_py():
        return False
    return bool(pc.all(pc.match_substring_regex(known, "^[0-9]+$")).as_py())


def _is_id(texts: pa.ChunkedArray) -> bool:
    """Whole numbers that float64 would round: 16 digits or more, written without point."""
    long = pc.drop_null(pc.filter(texts, pc.match_substring_regex(texts, r"^[+-]?\d{16,}$")))
    digits = (text.as_py().lstrip("+-0") for text in pc.unique(long))
    return any(len(own) > 16 or int(own or "0") > LARGEST_EXACT for own in digits)


def _refuse_stray_text(name: str, texts: pa.ChunkedArray, above: int) -> None:
    is_number = pc.match_substring_regex(texts, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    count = pc.sum(is_number).as_py() or 0
    total = len(texts) - texts.null_count
    if count < MOSTLY_NUMBERS * total:
        return
    if pc.count_distinct(pc.filter(texts, is_number)).as_py() <= FEW_NUMBERS:
        return
    row = pc.index(is_number, pa.scalar(False)).as_py()
    met = texts[row].as_py()[:50]
    raise bad_file(
        f"column '{name}', row {row + above}: '{met}' is no number, "
        f"as {count:,} of its {total:,} values are; leave a missing value empty"
    )
