"""Names and messages from a service steer no terminal."""

from __future__ import annotations

import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ridgeway.client.plain import Plain, plain

ATTACKS = {
    "clears the screen": "\x1b[2J\x1b[H",
    "names the window": "\x1b]0;owned\x07",
    "writes the clipboard": "\x1b]52;c;ZXZpbA==\x1b\\",
    "as one byte": "\x9b31m",
    "goes back": "fine\rFAILED",
    "turns the text round": "\u202etxt.exe\u2066",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_steers_a_terminal_is_written_out(attack: str) -> None:
    shown = plain(f"a {attack} name")
    assert not any(unicodedata.category(each) in ("Cc", "Cf") for each in shown)
    written_out = re.compile(r"\\u([0-9a-f]{4})")
    assert written_out.sub(lambda found: chr(int(found[1], 16)), shown) == f"a {attack} name"


@given(st.text())
def test_all_else_stays_as_it_is(text: str) -> None:
    kept = "".join(each for each in text if unicodedata.category(each) not in ("Cc", "Cf"))
    assert plain(kept) == kept


def test_a_table_keeps_its_own_styles_and_no_others() -> None:
    out = Console(file=io.StringIO(), force_terminal=True, width=80, color_system="standard")
    table = Table("name")
    table.add_row(Text("\x1b[2Jmine", style="green"))
    out.print(Plain(table))
    assert isinstance(out.file, io.StringIO)
    written = out.file.getvalue()
    assert "\\u001b[2Jmine" in written
    assert "\x1b[32m" in written
    assert "\x1b[2J" not in written
