"""A page in a real browser, which has to be content with what it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = Path("/usr/bin/chromium")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"no browser to read the page in: {CHROMIUM} is not there")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watch:
    """What the pages of a context ask for, and what they complain of: errors, words, dialogs."""

    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        """Watch every page of the context."""
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", lambda message: self.complaints.append(message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("dialog", self._dismiss)

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def unexpected(self, expected: str = "") -> list[str]:
        """Return the complaints that the pattern does not find."""
        return [each for each in self.complaints if not (expected and re.search(expected, each))]

    def elsewhere(self, address: str) -> list[str]:
        """Return what others than the address's host were asked for."""
        return [url for url in self.asked if urlsplit(url).netloc != urlsplit(address).netloc]


@contextmanager
def opened(address: str, **look: Any) -> Iterator[Page]:
    """Open an address in a Chromium of its own, with a viewport, a colour scheme, ... as `look`.

    At the end nothing but the address was asked for, and nothing complained: no script's error, no
    word on the console, no dialog. Skips where there is no Chromium.
    """
    with chromium() as browser:
        watch, page = _watched(browser, look)
        page.goto(address)
        yield page
    assert [url for url in watch.asked if not url.endswith("favicon.ico")] == [address]
    assert watch.unexpected() == []


@contextmanager
def visited(browser: Browser, address: str, expected: str = "", **look: Any) -> Iterator[Page]:
    """Open a page of a service; from there on the test goes where it likes.

    At the end nobody but the service was asked for anything, and nothing complained but in words
    that the pattern `expected` finds.
    """
    watch, page = _watched(browser, look)
    page.goto(address)
    yield page
    page.context.close()
    assert watch.elsewhere(address) == []
    assert watch.unexpected(expected) == []


def _watched(browser: Browser, look: dict[str, Any]) -> tuple[Watch, Page]:
    context, watch = browser.new_context(**look), Watch()
    watch.over(context)
    return watch, context.new_page()
