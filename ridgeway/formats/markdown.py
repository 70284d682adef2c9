"""Text of others as Markdown that says it and does nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST_NAME = 200  # characters that are shown
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control and format characters, ends of lines
_MARKS = re.compile(
    r"[\\`*_\[\]<>#|~&$@]"  # code, emphasis, links, HTML, headings, tables, formulas, addresses
    r"|:(?=//)|(?<=\bwww)\."  # what some readers make links of
    r"|^[+\-=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]"  # lists and rules, at a line's beginning
)


def escaped(text: str, longest: int = LONGEST_NAME) -> str:
    """Return one line of text without markup: no heading, link, image, HTML or table's column."""
    seen = "".join(" " if unicodedata.category(each) in _UNSEEN else each for each in text)
    line = " ".join(seen.split())
    line = line if len(line) <= longest else f"{line[:longest]}…"
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", line)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; its cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
