"""Text from elsewhere as a terminal may show it: what would steer the terminal is written out.

Names and messages come from whoever submitted a job, and a terminal obeys what it is sent: it
moves its cursor, renames its window, or shows text in another order than it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters but for tabs and ends of lines, and what changes the direction of text (UAX 9).
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return the text with each such character as its escape in Python and JSON: `\\u001b`."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


@dataclass(frozen=True)
class Plain:
    """Something to print, whose text steers nothing; its own styles do."""

    shown: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.shown, options):
            own = segment.control
            yield segment if own else Segment(plain(segment.text), segment.style)
