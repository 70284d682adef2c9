"""Pages in a real browser: read, on a phone and in the dark, live, and used by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from browsers import visited
from pages import NASTY, job_in, search_on

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# Axe takes many seconds for all of it, which is more of the same.
PARTS_OF_THE_REFERENCE = ["header", "main > nav", "#post-v1-jobs", "#shape-Progress"]
FIRST_IN_LINE = 9  # the priority of jobs that a test has its own trials of


def violations(page: Page, within: list[str]) -> list[str]:
    """Return what axe-core finds that is serious or critical in what the selectors name."""
    import axe_playwright_python.sync_playwright as axe

    found = axe.Axe().run(page, context=within).response["violations"]
    return [
        f"{own['id']}: {own['nodes'][0]['html'][:200]}"
        for own in found
        if own["impact"] in ("serious", "critical")
    ]


def test_pages_are_fit_for_everybody_on_a_phone_in_the_dark_and_on_a_desk(shown):
    jobs = shown.jobs
    addresses = [
        "/",
        *(f"/jobs/{jobs[state]}" for state in ("succeeded", "running", "failed")),
        f"/compare?job={jobs['succeeded']}&job={jobs['running']}",
        "/docs",
    ]
    with visited(shown.url, viewport=PHONE, color_scheme="dark") as page:
        for scheme, size in (("dark", PHONE), ("light", WIDE)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            for address in addresses if scheme == "dark" else addresses[:3]:
                page.goto(shown.url + address)
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide == size["width"], address
                within = PARTS_OF_THE_REFERENCE if address == "/docs" else ["body"]
                assert violations(page, within) == [], address
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"  # the styles are let through by the policy


def test_the_verdict_comes_first_and_the_pictures_with_words_for_them(shown):
    with visited(f"{shown.url}/jobs/{shown.jobs['succeeded']}", viewport=WIDE) as page:
        assert page.inner_text("h1") == " ".join(NASTY.split())
        verdict = page.locator(".verdict").bounding_box()
        assert verdict is not None
        assert verdict["y"] + verdict["height"] < WIDE["height"]
        picture = page.locator("#plot-path img")
        picture.scroll_into_view_if_needed()
        picture.evaluate("image => image.decode()")  # which fails for what is no picture
        assert (picture.get_attribute("alt") or "").startswith("Regularisation path: ")


def test_a_running_job_is_followed_paused_extended_cancelled_and_deleted(shown):
    job = job_in(shown.database, "running", name="by hand", priority=FIRST_IN_LINE)
    with visited(f"{shown.url}/jobs/{job}", viewport=WIDE) as page:
        before = page.inner_text("#progress")
        page.locator("#chart circle").first.wait_for()
        search_on(shown.database)
        page.wait_for_function("before => progress.innerText !== before", arg=before)
        page.click("#actions >> text=Pause")
        page.locator("#state >> text=paused").wait_for()
        page.click("#actions >> text=Resume")
        page.locator("#state >> text=running").wait_for()
        page.click("#actions >> text=More trials")
        page.fill("#more", "11")
        page.click("text=Add them")
        page.locator("text=of 51 trials done").wait_for()
        page.click("#actions >> text=Cancel")
        page.click("text=Leave it")
        page.click("#actions >> text=Cancel")
        page.click("#ask-yes")
        page.locator("#state >> text=cancelled").wait_for()
        page.click("#actions >> text=Delete")
        page.keyboard.press("Escape")
        page.click("#actions >> text=Delete")
        page.click("#ask-yes")
        page.wait_for_url(f"{shown.url}/")
        assert httpx.get(f"{shown.url}/v1/jobs/{job}").status_code == 404


def test_what_a_job_no_longer_allows_is_told_where_it_was_asked(shown):
    job = job_in(shown.database, "running", name="gone on", priority=FIRST_IN_LINE)
    address = f"{shown.url}/jobs/{job}"
    with visited(address, expected=r"status of 409|ERR_FAILED", viewport=WIDE) as page:
        # The page hears nothing of what others do.
        page.route("**/events", lambda route: route.abort())
        page.route(f"**/v1/jobs/{job}", lambda route: route.abort())
        page.reload()
        assert httpx.post(f"{shown.url}/v1/jobs/{job}/pause").status_code == 200
        page.click("#actions >> text=Pause")
        page.locator("#trouble >> text=Can't pause a job that is paused").wait_for()
        page.locator("#actions >> text=Resume").wait_for()
    httpx.post(f"{shown.url}/v1/jobs/{job}/cancel")


def test_the_list_is_live_filtered_and_compared(shown):
    with visited(shown.url, viewport=WIDE) as page:
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


def test_everything_can_be_reached_by_keys(shown):
    with visited(f"{shown.url}/jobs/{shown.jobs['paused']}", viewport=WIDE) as page:
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
