"""Texts of plots: names that people chose, made harmless, and lines that fit a picture."""

from __future__ import annotations

import textwrap
import unicodedata

LONGEST_NAME = 32  # characters of a name in a picture
TITLE_PIXELS, CAPTION_PIXELS = 8.0, 6.2  # a character's mean width, of font sizes 15 and 12


def plain(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name in one line without control characters, cut if it is long; never empty."""
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in name)
    text = " ".join(kept.split()) or "(no name)"
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def title_lines(text: str, width: int) -> list[str]:
    """Break a title into lines for a picture of this width in pixels."""
    return textwrap.wrap(text, max(16, int(width / TITLE_PIXELS))) or [""]


def caption_lines(text: str, width: int) -> list[str]:
    """Break a caption into lines for a picture of this width in pixels."""
    return textwrap.wrap(text, max(16, int(width / CAPTION_PIXELS))) or [""]
