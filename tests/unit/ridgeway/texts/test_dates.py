"""Dates as people write them, against pandas and Python's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ridgeway.data.settling import date_kinds
from ridgeway.texts.dates import DateKind, days, has_offset

DAY = timedelta(days=1)
WRITTEN: dict[str, DateKind] = {
    "%Y-%m-%d": "date",
    "%Y/%m/%d %H:%M": "date",
    "%Y-%m-%dT%H:%M:%S.%f": "date",
    "%d %B %Y": "date",
    "%d-%b-%Y": "date",
    "%B %d, %Y %I:%M %p": "date",
    "%d.%m.%Y %H:%M:%S": "date_day_first",
    "%d/%m/%Y": "date_day_first",
    "%m/%d/%Y %I:%M %p": "date_month_first",
}


@given(
    st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)),  # noqa: DTZ001 - hypothesis's
    st.sampled_from(sorted(WRITTEN)),
)
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read(moment: datetime, form: str) -> None:
    text = moment.strftime(form)
    wanted = datetime.strptime(text, form).replace(tzinfo=UTC)  # what the form keeps of it
    assert days(text, WRITTEN[form]) == (wanted - datetime(1970, 1, 1, tzinfo=UTC)) / DAY


@pytest.mark.parametrize(
    "text",
    ["2024-05-01T12:30:00Z", "2024-05-01 12:30+02:00", "2024-05-01T12:30:00.25-0330"],
)
def test_offsets_are_as_pandas_has_them(text: str) -> None:
    wanted = (pd.Timestamp(text) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    assert days(text, "date") == wanted
    assert has_offset(text)
    assert not has_offset("2024-05-01 12:30")


def test_objects_are_dates() -> None:
    zone = timezone(timedelta(hours=2))
    assert days(date(1970, 1, 2), "date") == 1.0
    assert days(datetime(1970, 1, 2, 2, tzinfo=zone), "date_day_first") == 1.0
    assert days(pd.Timestamp("1970-01-02 12:00"), "date") == 1.5


@pytest.mark.parametrize(
    ("texts", "kinds"),
    [
        (["2024-05-01", "1 May 2024"], ["date"]),
        (["31.12.2024", "1.1.2024"], ["date_day_first"]),
        (["12/31/2024"], ["date_month_first"]),
        (["1/2/2024", "3/4/2024"], ["date_day_first", "date_month_first"]),
        (["13/1/2024", "1/13/2024"], []),
        (["2024-02-30"], []),
        (["2024-05-01T12:00", "2024-05-01T12:00Z"], []),
        (["20240501"], []),
        (["01.02.24"], []),
        (["2024-05/01"], []),
        (["May"], []),
        (["2024-05-01 13:00 PM"], []),
        ([], []),
    ],
    ids=str,
)
def test_a_column_is_of_one_order_or_none(texts: list[str], kinds: list[DateKind]) -> None:
    assert date_kinds(texts) == kinds


@pytest.mark.parametrize("value", [5, 3.5, True, b"2024-05-01", "soon"])
def test_what_is_no_date_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"no date|must be a date"):
        days(value, "date")
