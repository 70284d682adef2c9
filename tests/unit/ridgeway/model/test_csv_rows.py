"""CSV rows for a model are read as a data set's file is."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest

from ridgeway.data.csv_files import read_csv as read_data_set
from ridgeway.data.notes import notes_of
from ridgeway.errors import InvalidInput
from ridgeway.model.csv_rows import read_csv
from ridgeway.model.file import Column

COLUMNS = [Column("price", "number"), Column("code", "category")]


@pytest.mark.parametrize(
    "text",
    [
        "code,other,price\n01,x,1.5\nb,?,NA\n null ,y,-3e2\n",
        '\ufeffprice;code\r\n1,5;"a;b"\r\n\r\n;"two\nlines"\r\n 2 ;\r\n',
        "code\tprice\n1\t7\ntrue\t8\nNone\tnan\n",
    ],
    ids=["comma", "semicolon", "tab"],
)
def test_cells_are_what_a_data_set_would_hold(text: str) -> None:
    made = read_csv(text.encode(), COLUMNS)
    table = read_data_set(io.BytesIO(text.encode()), 100, 100)
    prices = [np.nan if price is None else price for price in table["price"].to_pylist()]
    np.testing.assert_array_equal(made["price"], prices)
    assert made["code"].tolist() == table["code"].to_pylist()


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("price,other\n1,2\n", "code", "is missing: the model needs this column"),
        ("price,code\n1,a\n1_000,b\n", "price", "row 3: '1_000' is no number"),
        ("price,code\n1,a\n1e31,b\n", "price", "row 3: must be at most 1e+30"),
        ("price,code\n1,a,b\n", "rows", "row 2 has 3 values, the header 2"),
        ('price,code\n1,"a\n', "rows", "row 2: "),
        ("price,code\n", "rows", "no row below the header"),
        ("price,code\n\n1,a\n\nx,b\n", "price", "row 5: 'x' is no number"),
        ("price,code,price\n1,a,2\n", "price", "stands in the table more than once"),
        ("price,code\n1," + "a" * 140_000, "rows", "row 2: field larger than field limit"),
        ("", "price", "is missing"),
    ],
)
def test_what_is_broken_is_told_with_its_place(text: str, field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_csv(text.encode(), COLUMNS)
    assert refused.value.errors[0].field == field
    assert said in refused.value.errors[0].message


@pytest.mark.parametrize("text", ["(5)", "\N{MINUS SIGN}5"])
def test_a_plain_number_is_written_as_in_accounts_where_the_data_set_did(text: str) -> None:
    data = f"price,code\n7,a\n{text},b\n".encode()
    table = read_data_set(io.BytesIO(data), 100, 100)
    written = notes_of(table).formats["price"]
    assert written.is_plain
    made = read_csv(data, [Column("price", "number", format=written)])
    assert made["price"].tolist() == table["price"].to_pylist() == [7.0, -5.0]
    with pytest.raises(InvalidInput, match=r"row 3: .* is no number"):
        read_csv(data, COLUMNS)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidInput, match="row 2: byte 0x81 is not UTF-8"):
        read_csv(b"price,code\n1,\x81\n", COLUMNS)


def test_a_long_header_and_lines_that_end_in_a_return_are_read() -> None:
    names = [f"column {place:05d}" for place in range(19_998)]  # more than one cell may hold
    made = read_csv(f"{','.join(['price', *names, 'code'])}\n1{',' * 19_999}a\n".encode(), COLUMNS)
    assert (made["price"].tolist(), made["code"].tolist()) == ([1.0], ["a"])
    made = read_csv(b"price;code\r1,5;a\r2;b\r", COLUMNS)
    assert (made["price"].tolist(), made["code"].tolist()) == ([1.5, 2.0], ["a", "b"])


def test_of_one_column_a_blank_line_between_others_is_a_missing_value() -> None:
    made = read_csv(b"\nprice\n1\n\n\n2\n\n\n", COLUMNS[:1])
    np.testing.assert_array_equal(made["price"], [1, np.nan, np.nan, 2])
    with pytest.raises(InvalidInput, match="row 5: 'x' is no number"):
        read_csv(b"price\n1\n\n2\nx\n", COLUMNS[:1])


def test_nothing_is_read_beyond_the_most_rows() -> None:
    many = b"price\n" + b"1\n" * 10 + b"no number\n"
    with pytest.raises(InvalidInput, match="rows: has more than 9 rows") as refused:
        read_csv(many, COLUMNS[:1], 9)
    assert refused.value.errors[0].value == 10
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="more than 9 rows"):
            read_csv(b"price\n" + b"1\n" * 1_000_000, COLUMNS[:1], 9)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    assert len(read_csv(many[:-10], COLUMNS[:1], 10)["price"]) == 10
