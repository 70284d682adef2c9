"""Pages in a real browser: read, on a phone and in the dark, live, and used by hand."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from barriers import fits
from browsers import PHONE, WIDE, visited
from pages import job_in

# Axe takes many seconds for all of it, which is more of the same.
PARTS_OF_THE_REFERENCE = ["header", "main > nav", "#post-v1-jobs", "#shape-Progress"]
FIRST_IN_LINE = 9  # the priority of jobs that a test has its own trials of


def test_pages_are_fit_for_everybody_on_a_phone_in_the_dark_and_on_a_desk(browser, shown):
    jobs = shown.jobs
    dark = (
        f"/jobs/{jobs['running']}",
        f"/compare?job={jobs['succeeded']}&job={jobs['running']}",
        "/docs",
    )
    light = ("/", f"/jobs/{jobs['succeeded']}", f"/jobs/{jobs['failed']}")
    with visited(browser, shown.url, viewport=PHONE, color_scheme="dark") as page:
        for address in dark:
            page.goto(shown.url + address)
            fits(page, PARTS_OF_THE_REFERENCE if address == "/docs" else None)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)
        for address in light:
            page.goto(shown.url + address)
            fits(page)
        assert page.inner_text("h1") == "is failed"
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"  # the styles are let through by the policy


def test_what_a_job_no_longer_allows_is_told_where_it_was_asked(browser, shown):
    job = job_in(shown.database, "running", name="gone on", priority=FIRST_IN_LINE)
    address = f"{shown.url}/jobs/{job}"
    with visited(browser, address, expected=r"status of 409|ERR_FAILED", viewport=WIDE) as page:
        # The page hears nothing of what others do.
        page.route("**/events", lambda route: route.abort())
        page.route(f"**/v1/jobs/{job}", lambda route: route.abort())
        page.reload()
        assert httpx.post(f"{shown.url}/v1/jobs/{job}/pause").status_code == 200
        page.click("#actions >> text=Pause")
        page.locator("#trouble >> text=Can't pause a job that is paused").wait_for()
        page.locator("#actions >> text=Resume").wait_for()
    httpx.post(f"{shown.url}/v1/jobs/{job}/cancel")


def test_the_list_is_live_filtered_and_compared(browser, shown):
    with visited(browser, shown.url, viewport=WIDE) as page:
        job = job_in(shown.database, "queued", name="has just come")
        page.locator("text=has just come").wait_for()
        assert page.locator("#compare").is_disabled()
        for state in ("paused", "cancelled"):
            page.check(f"#job-{shown.jobs[state]} input")
        httpx.post(f"{shown.url}/v1/jobs/{job}/pause")
        page.locator(f"#job-{job} >> text=paused").wait_for()
        page.click("text=Compare the ticked")
        assert page.inner_text("h1") == "2 jobs beside each other"
        page.goto(shown.url)
        page.select_option("#state", "cancelled")
        page.wait_for_url("**state=cancelled**")
        assert page.locator("#lines li").count() >= 1
        assert page.locator("#lines >> text=is running").count() == 0
    httpx.post(f"{shown.url}/v1/jobs/{job}/cancel")


def test_everything_can_be_reached_by_keys(browser, shown):
    with visited(browser, f"{shown.url}/jobs/{shown.jobs['paused']}", viewport=WIDE) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        for _ in range(3):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.action") == "resume":
                break
        assert page.evaluate("document.activeElement.dataset.action") == "resume"
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"


@pytest.mark.parametrize("name", ["ridgeway.css", "job.js"])
def test_no_asset_asks_for_more_than_is_there(name: str) -> None:
    text = (Path(__file__).parents[4] / "service/pages/static" / name).read_text()
    assert "http" not in text
    assert "@import" not in text
