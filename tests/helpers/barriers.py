"""What shuts somebody out of a page, found by axe-core."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def barriers(page: Page) -> list[str]:
    """Return what is serious or critical, with the elements that have it."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{own['id']}: {own['help']} at {[node['html'][:200] for node in own['nodes']]}"
        for own in Axe().run(page).response["violations"]
        if own["impact"] in ("serious", "critical")
    ]
