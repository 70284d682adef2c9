"""CSV rows for a model are read as a data set's file is."""

from __future__ import annotations

import numpy as np
import pytest

from ridgeway.data.csv_files import MISSING as MISSING_IN_DATA_SETS
from ridgeway.data.csv_files import read_csv as read_data_set
from ridgeway.errors import InvalidInput
from ridgeway.model.csv_rows import MISSING, read_csv
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
    table = read_data_set(text.encode(), 100, 100)
    prices = [np.nan if price is None else price for price in table["price"].to_pylist()]
    np.testing.assert_array_equal(made["price"], prices)
    assert made["code"].tolist() == table["code"].to_pylist()
    assert set(MISSING_IN_DATA_SETS) == MISSING


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("price,other\n1,2\n", "code", "is missing: the model needs this column"),
        ("price,code\n1,a\n1_000,b\n", "price", "row 3: '1_000' is no number"),
        ("price,code\n1,a\n1e31,b\n", "price", "row 3: must be at most 1e+30"),
        ("price,code\n1,a,b\n", "rows", "row 2 has 3 values, the header 2"),
        ('price,code\n1,"a\n', "rows", "row 2: "),
        ("price,code\n", "rows", "no row below the header"),
        ("", "price", "is missing"),
    ],
)
def test_what_is_broken_is_told_with_its_place(text: str, field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_csv(text.encode(), COLUMNS)
    assert refused.value.errors[0].field == field
    assert said in refused.value.errors[0].message


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidInput, match="row 2: byte 0xff is not UTF-8"):
        read_csv(b"price,code\n1,\xff\n", COLUMNS)
