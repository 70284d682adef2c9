"""Numbers, durations and moments as a person writes them."""

from __future__ import annotations

from datetime import datetime


def number(value: float | str | None) -> str:
    """Write a number with three significant digits, as a person does."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if value == 0:
        return "0"
    if 1e3 <= abs(value) < 1e6:
        return f"{value:.0f}"
    if 1e-3 <= abs(value) < 1e3:
        return f"{value:#.3g}".rstrip(".")
    return f"{value:.2e}".replace("e-0", "e-").replace("e+0", "e")


def count(number: int, one: str, many: str = "") -> str:
    """Write how many of something there are: `1 trial`, `1,200 trials`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Write a duration: `8.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(time: datetime) -> str:
    """Write a time in the reader's own time zone, to the minute."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")
