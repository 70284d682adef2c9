"""Numbers as people write them: `1.234,56`, `$1,234`, `12.3 %`, `(5)`.

A format is one for a whole column: a text that is not of it is no number of that column. The same
patterns are matched by Python here and by Arrow's RE2 where files come in.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

CURRENCIES = ("US$", "USD", "EUR", "GBP", "CHF", "JPY", "$", "€", "£", "¥", "₹", "kr")
SPACES = "[ \u00a0\u202f]"  # between thousands, and before a currency
_SIGN = "[+\u2212-]?"
_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_AROUND = "|".join(map(re.escape, (*CURRENCIES, "%")))
_AFFIXES = re.compile(rf"\(?{_SIGN}({_AROUND})?.*?[0-9.,]{SPACES}?({_AROUND})?\)?")


class NumberFormat(BaseModel):
    """How a column writes its numbers. thousands: between groups of three digits; "" where none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    prefix: str = ""
    suffix: str = ""

    @property
    def is_plain(self) -> bool:
        """Return True where numbers are written as programs write them."""
        return self == NumberFormat()

    @property
    def pattern(self) -> str:
        """Return what matches a whole text of this format, for Python and RE2 alike."""
        point = re.escape(self.decimal)
        digits = "[0-9]+"
        if self.thousands:
            between = SPACES if self.thousands == " " else re.escape(self.thousands)
            digits = f"(?:[0-9]{{1,3}}(?:{between}[0-9]{{3}})+|[0-9]+)"
        body = f"(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
        before = f"{re.escape(self.prefix)}{SPACES}?" if self.prefix else ""
        after = f"{SPACES}?{re.escape(self.suffix)}" if self.suffix else ""
        whole = f"{_SIGN}{before}{body}{after}|{before}{_SIGN}{body}{after}"
        return rf"^(?:{whole}|\({before}{body}{after}\))$"

    @property
    def replacements(self) -> list[tuple[str, str]]:
        """Return what to put in the place of what, one after the other, to have a plain number."""
        affixes = [(affix, "") for affix in (self.prefix, self.suffix) if affix]
        spaces = [(space, "") for space in " \u00a0\u202f"]
        thousands = [(self.thousands, "")] if self.thousands.strip() else []
        return [
            *affixes,
            *spaces,
            *thousands,
            (self.decimal, "."),
            ("\u2212", "-"),
            ("(", "-"),
            (")", ""),
        ]

    @property
    def example(self) -> str:
        """Return 1234.5 in this format."""
        return f"{self.prefix}1{self.thousands}234{self.decimal}5{self.suffix}"

    def read(self, text: str) -> float:
        """Read a number; ValueError where the text is none of this format.

        Without thousands between, a point is as good as a comma.
        """
        text = text.strip()
        if self._matcher.match(text):
            for old, new in self.replacements:
                text = text.replace(old, new)
            return float(text)
        if self.thousands == self.prefix == self.suffix == "" and is_plain_number(text):
            return float(text)
        raise ValueError(f"{text[:50]!r} is no number such as {self.example!r}")

    @cached_property
    def _matcher(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


def is_plain_number(text: str) -> bool:
    """Return whether a text is a number as programs write it."""
    return _PLAIN.fullmatch(text) is not None


def formats_like(text: str, *, comma_first: bool) -> list[NumberFormat]:
    """Return the formats with this text's currency or percent sign, the likeliest first.

    comma_first: where a comma is a decimal point rather than between thousands.
    """
    met = _AFFIXES.fullmatch(text)
    prefix, suffix = (met.group(1) or "", met.group(2) or "") if met else ("", "")
    commas = [(",", ""), (",", ".")]
    points = [(".", ",")]
    pairs = [(".", ""), *(commas + points if comma_first else points + commas)]
    pairs += [(",", " "), (".", " "), (".", "'"), (",", "'")]
    return [
        NumberFormat.model_validate(
            {"decimal": decimal, "thousands": thousands, "prefix": prefix, "suffix": suffix}
        )
        for decimal, thousands in pairs
    ]
