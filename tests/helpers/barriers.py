"""What shuts somebody out of a page, found by axe-core."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def barriers(page: Page, within: list[str] | None = None) -> list[str]:
    """Return what is serious or critical, with the elements that have it.

    `within` are selectors of the parts that are looked at: None for the whole page.
    """
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{own['id']}: {own['help']} at {[node['html'][:200] for node in own['nodes']]}"
        for own in Axe().run(page, context=within).response["violations"]
        if own["impact"] in ("serious", "critical")
    ]


def fits(page: Page, within: list[str] | None = None) -> None:
    """Nothing on the page is wider than it, and nothing (within) shuts anybody out."""
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, page.url
    assert barriers(page, within) == [], page.url
