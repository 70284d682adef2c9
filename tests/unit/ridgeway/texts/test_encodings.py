"""Bytes made UTF-8."""

from __future__ import annotations

import pytest

from ridgeway.errors import InvalidInput
from ridgeway.texts.encodings import as_utf8

TEXT = "café,b\nü,2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_tells_its_encoding_is_read(encoding: str) -> None:
    assert as_utf8(TEXT.encode(encoding)) == (TEXT.encode(), None)


def test_latin_1_is_read_and_its_row_told() -> None:
    assert as_utf8(TEXT.encode("latin-1")) == (TEXT.encode(), 1)
    assert as_utf8(b"a,b\n\x80,2\n") == ("a,b\n€,2\n".encode(), 2)


@pytest.mark.parametrize("data", [b"\xff\xfea", b"a\n\x81", b"\xff\x00\n", b"\xff\xfe\x00\xd8"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        as_utf8(data, "rows")
    assert refused.value.errors[0].field == "rows"
