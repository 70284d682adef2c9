"""Numbers, durations and moments as a person writes them."""

from __future__ import annotations

from datetime import UTC, datetime

DAY_SECONDS = 86400.0


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


def extent(least: float | None, most: float | None) -> str:
    """Write from where to where numbers go; nothing where there are none."""
    return "" if least is None or most is None else f"{number(least)} to {number(most)}"


def count(number: int, one: str, many: str = "") -> str:
    """Write how many of something there are: `1 trial`, `1,200 trials`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def mean_count(value: float | None) -> str:
    """Write a mean of counts: `7`, where it is whole, or as any number: `7.33`."""
    return f"{value:.0f}" if value is not None and value == round(value) else number(value)


def size(bytes: int) -> str:
    """Write a number of bytes in powers of a thousand: `980 B`, `4.2 MB`."""
    value, units = float(bytes), ("B", "kB", "MB", "GB", "TB", "PB")
    place = 0
    while value >= 999.5 and place < len(units) - 1:
        value, place = value / 1000, place + 1
    return f"{value:.0f} B" if place == 0 else f"{value:.3g} {units[place]}"


def duration(seconds: float) -> str:
    """Write a duration: `8.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def roughly(seconds: float) -> str:
    """Write a duration that is not known precisely: `1 s`, `40 s`, `3 min`, `1.5 h`, `2 days`."""
    if seconds < 90:
        step = 1 if seconds < 10 else 5
        return f"{max(round(seconds / step) * step, 1)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"
    return f"{round(seconds / DAY_SECONDS)} days"


def moment(time: datetime) -> str:
    """Write a time in the reader's own time zone, to the minute."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M")


def short_moment(time: datetime) -> str:
    """Write a time in the reader's own time zone, to the minute; without the year if it's this."""
    this_year = time.astimezone().year == datetime.now(UTC).astimezone().year
    return moment(time)[5:] if this_year else moment(time)
