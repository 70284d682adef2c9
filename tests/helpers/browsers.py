"""A page in a real browser, which has to be content with what it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")


@contextmanager
def opened(address: str, **look: Any) -> Iterator[Page]:
    """Open an address in Chromium, with a viewport, a colour scheme, ... as `look`.

    At the end nothing but the address was asked for, and nothing complained: no script's error, no
    word on the console, no dialog. Skips where there is no Chromium.
    """
    asked: list[str] = []
    with _watched(asked, "", look) as page:
        page.goto(address)
        yield page
    assert [url for url in asked if not url.endswith("favicon.ico")] == [address]


@contextmanager
def visited(address: str, expected: str = "", **look: Any) -> Iterator[Page]:
    """Open a page of a service; from there on the test goes where it likes.

    At the end nobody but the service was asked for anything, and nothing complained but in words
    that the pattern `expected` finds.
    """
    asked: list[str] = []
    with _watched(asked, expected, look) as page:
        page.goto(address)
        yield page
    assert [url for url in asked if urlsplit(url).netloc != urlsplit(address).netloc] == []


@contextmanager
def _watched(asked: list[str], expected: str, look: dict[str, Any]) -> Iterator[Page]:
    if not CHROMIUM.exists():
        pytest.skip(f"no browser to read the page in: {CHROMIUM} is not there")
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(**look)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        yield page
        browser.close()
    assert [each for each in complaints if not (expected and re.search(expected, each))] == []
