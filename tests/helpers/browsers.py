"""A page in a real browser, which has to be content with what it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    if not CHROMIUM.exists():
        pytest.skip(f"no browser to read the page in: {CHROMIUM} is not there")
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(**look)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(address)
        yield page
        browser.close()
    assert [url for url in asked if not url.endswith("favicon.ico")] == [address]
    assert complaints == []
