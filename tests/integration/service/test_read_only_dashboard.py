"""The dashboard in a real browser: axes by their words, and no button that can't work."""

from __future__ import annotations

import httpx
import pytest
from browsers import chromium
from dashboards import searched
from serving import serve

from ridgeway.settings import Settings
from service.read_only import HIDDEN, STYLE, read_only

ICONS = """() => [...document.querySelectorAll('button, a, [role=button]')]
    .filter(each => each.offsetParent !== null)
    .map(each => [each.innerText, each.getAttribute('aria-label'),
                  ...[...each.querySelectorAll('svg')].map(own => own.dataset.testid)].join(' '))
"""
HOSTILE = 'my job<img src=x onerror="owned = 1"><script>owned = 1</script>'
WRITES = ("create", "rename", "delete", "edit", "addbox", "upload", "skip", "github")


def test_the_stylesheet_is_the_last_of_the_head_whatever_the_page() -> None:
    assert read_only(b"<head>a</head><p></head>") == f"<head>a{STYLE}</head><p></head>".encode()
    assert read_only(b"no page") == b"no page"


def test_nothing_is_offered_that_can_not_work(database, database_url, tmp_path) -> None:
    if not database.embedded:
        pytest.skip("the page is the same on any database")
    searched(database, HOSTILE)
    settings = Settings(data=tmp_path, database_url=database_url)
    with chromium() as browser, serve(settings) as served:
        httpx.get(f"{served.url}/dashboard", timeout=100)  # it takes its time to start
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{served.url}/dashboard")
        page.get_by_text("my job").wait_for()
        found = {"": page.evaluate(ICONS)}
        edit = page.locator(HIDDEN[3])
        for name in ("trials?numbers=0", "note"):
            page.goto(f"{served.url}/dashboard/studies/1/{name}")
            edit.wait_for(state="attached")  # it is there, so the test would notice it
            assert not edit.is_visible()
            assert page.get_by_text("my job<img src=x").count() > 0
            assert page.locator("img[src=x]").count() == 0  # a name is text
            assert page.evaluate("globalThis.owned") is None
            found[name] = page.evaluate(ICONS)
        page.goto(f"{served.url}/dashboard/studies/1")
        page.locator("text.ytitle").first.wait_for()
        assert page.locator("text.ytitle").first.text_content() == "loss"
    for name, shown in found.items():
        assert shown, name
        offered = [each for each in shown if any(word in each.lower() for word in WRITES)]
        assert offered == [], name
