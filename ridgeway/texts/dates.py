"""Dates and times as people write them, made days since 1970-01-01 in UTC.

In every order `2024-05-01`, `2024/5/1`, `1 May 2024`, `01-May-2024` and `May 1, 2024` are dates,
with a time behind them where there is one: `12:30`, `T12:30:00.5`, `3:45 PM`, `+02:00`, `Z`. The
orders tell what `01/05/2024`, `1.5.2024` and `01-05-2024` are. Without an offset a time is UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal, TypeAlias, get_args

DateKind: TypeAlias = Literal["date", "date_day_first", "date_month_first"]
DATE_KINDS: tuple[DateKind, ...] = get_args(DateKind)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEANING = "days since 1970-01-01 (UTC)"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_TIME = (
    r"(?:[T ] ?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?(?: ?(?P<half>[AaPp][Mm]))?"
    r" ?(?P<offset>Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)


def _pattern(day: str) -> re.Pattern[str]:
    return re.compile(day + _TIME, re.IGNORECASE)


_YEAR, _MONTH, _DAY = "(?P<year>[0-9]{4})", "(?P<month>[0-9]{1,2})", "(?P<day>[0-9]{1,2})"
_BETWEEN = "(?P<between>[-/.])"
_NAME = f"(?P<month>{_NAMED})"
_ALWAYS = (
    _pattern(f"{_YEAR}{_BETWEEN}{_MONTH}(?P=between){_DAY}"),
    _pattern(f"{_DAY}(?P<between>[- ]){_NAME}(?P=between){_YEAR}"),
    _pattern(f"{_NAME} {_DAY},? {_YEAR}"),
)
_PATTERNS: dict[DateKind, tuple[re.Pattern[str], ...]] = {
    "date": _ALWAYS,
    "date_day_first": (*_ALWAYS, _pattern(f"{_DAY}{_BETWEEN}{_MONTH}(?P=between){_YEAR}")),
    "date_month_first": (*_ALWAYS, _pattern(f"{_MONTH}{_BETWEEN}{_DAY}(?P=between){_YEAR}")),
}


def days(value: Any, kind: DateKind) -> float:
    """Return days since 1970-01-01 of a text, date or datetime; ValueError where it is no date."""
    if isinstance(value, datetime):  # pandas' Timestamp too
        return _days(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return _days(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if not isinstance(value, str):
        raise ValueError(f"must be a date, or null where unknown; met a {type(value).__name__}")
    text = value.strip()
    met = next((m for p in _PATTERNS[kind] if (m := p.fullmatch(text))), None)
    if met is None:
        raise ValueError(f"{text[:50]!r} is no date such as {EXAMPLES[kind]!r}")
    try:
        return _days(_moment(met.groupdict()))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:50]!r} is no date: {error}") from None


EXAMPLES: dict[DateKind, str] = {
    "date": "2024-05-31",
    "date_day_first": "31/05/2024",
    "date_month_first": "05/31/2024",
}


def has_offset(text: str) -> bool:
    """Return whether a text that is a date tells its offset from UTC."""
    return bool(re.search(r":[0-9]{2}.*(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$", text, re.IGNORECASE))


def _moment(parts: dict[str, str | None]) -> datetime:
    month = parts["month"] or ""
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"hour {hour} of twelve")
        hour = hour % 12 + 12 * (parts["half"].lower() == "pm")
    return datetime(
        int(parts["year"] or 0),
        int(month) if month.isdigit() else MONTHS.index(month[:3].lower()) + 1,
        int(parts["day"] or 0),
        hour,
        int(parts["minute"] or 0),
        int(parts["second"] or 0),
        int(f"{parts['fraction'] or '':0<6.6}"),
        tzinfo=_zone(parts["offset"]),
    )


def _zone(offset: str | None) -> timezone:
    if offset is None or offset.upper() in ("Z", "UTC"):
        return UTC
    minutes = 60 * int(offset[1:3]) + int(offset[3:].removeprefix(":") or 0)
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def _days(moment: datetime) -> float:
    return (moment - EPOCH) / timedelta(days=1)
