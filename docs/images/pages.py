"""Take the pictures of pages that README shows: the list of jobs, and the answer of one.

    python docs/images/pages.py

They show searches of a made-up shop's customers (report.py) on a service of their own. It needs
Chromium (Debian's package) and playwright, as the tests of pages do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from report import shop

from ridgeway import Client

HERE = Path(__file__).parent
LIST, ANSWER = {"width": 1000, "height": 620}, {"width": 1000, "height": 980}
DIGITS: dict[str, Any] = {"dataset": "digits", "trials": 2000, "epochs": 20}
JOBS: tuple[dict[str, Any], ...] = (
    {"name": "Who buys? with a small net", "model": {"kind": "mlp", "hidden": [16]}, "trials": 60},
    {"name": "Who buys?", "model": {"kind": "linear"}, "trials": 120},
)


@contextmanager
def served(folder: str) -> Iterator[str]:
    """Run a service with a worker on a folder; yield its address."""
    command = [sys.executable, "-m", "ridgeway", "serve", "--data", folder, "--workers", "1"]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def photograph(page: Page, address: str, name: str) -> None:
    """Take a picture of a page once its numbers are there."""
    page.goto(address)
    page.wait_for_timeout(3000)
    page.screenshot(path=HERE / name)


def main() -> None:
    """Search, and photograph."""
    with tempfile.TemporaryDirectory() as place, served(place) as url, Client(url) as client:
        client.add_dataset(shop(), name="shop")
        for spec in JOBS:
            done = client.wait(client.submit(dataset="shop", target="buys", **spec))
        client.wait(client.submit(dataset="diabetes", model={"kind": "linear"}, trials=60))
        client.submit(name="Digits, which penalty?", **DIGITS)
        client.submit(dataset="breast_cancer", trials=100)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox"]
            )
            page = browser.new_page(viewport=LIST)  # type: ignore[arg-type]
            page.goto(url)
            page.locator("text=Best so far").wait_for(timeout=120_000)
            photograph(page, url, "jobs.png")
            page.set_viewport_size(ANSWER)  # type: ignore[arg-type]
            photograph(page, f"{url}/jobs/{done.id}", "job.png")
            browser.close()


if __name__ == "__main__":
    main()
