"""Take the picture of a report that README shows: a search of a made-up shop's customers.

    python docs/images/report.py

It needs Chromium (Debian's package) and playwright, as the tests of pages do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("report.png")
CUSTOMERS, HABITS = 650, 94  # rows; columns that say nothing
SIZE = {"width": 1000, "height": 1180}


def shop() -> pd.DataFrame:
    """Make customers with gaps and categories; six columns tell who buys."""
    rng = np.random.default_rng(0)
    kinds = {"region": ["north", "south", "east"], "channel": ["web", "shop"]}
    table = pd.DataFrame({name: rng.choice(own, CUSTOMERS) for name, own in kinds.items()})
    numbers = ["age", "visits", "basket", "discount", *(f"habit {n + 1}" for n in range(HABITS))]
    table = table.join(pd.DataFrame(rng.normal(size=(CUSTOMERS, len(numbers))), columns=numbers))
    told = 0.9 * table["visits"] + 0.7 * table["basket"] - 0.6 * table["age"]
    told += 0.5 * table["discount"] + 0.8 * (table["region"] == "south")
    told += 0.6 * (table["channel"] == "web")
    table.loc[::11, "age"] = np.nan
    share = 1 / (1 + np.exp(0.7 - told))
    return table.assign(buys=np.where(rng.random(CUSTOMERS) < share, "yes", "no"))


def main() -> None:
    """Search, and photograph the top of the report."""
    with tempfile.TemporaryDirectory() as place:
        shop().to_csv(Path(place, "shop.csv"), index=False)
        search = [sys.executable, "-m", "ridgeway", "search", "shop.csv", "--target", "buys"]
        subprocess.run(search, cwd=place, check=True)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox"]
            )
            page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
            page.goto(Path(place, "shop-answer/report.html").as_uri())
            page.screenshot(path=PICTURE)
            browser.close()


if __name__ == "__main__":
    main()
