"""A person's way through the pages, in Chromium, from signing in to signing out.

One story: each test goes on where the one before has left the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from barriers import fits
from browsers import PHONE, WIDE, Watch, chromium, visited
from deployments import Installation
from keyed import bearer, make_key
from sklearn.datasets import load_diabetes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLOSED = {"RIDGEWAY_REQUIRE_KEYS": "true"}
# Long enough to be steered; each of its trials, and its answer, takes no time.
LONG: dict[str, Any] = {
    "name": "a long one",
    "dataset": "diabetes",
    "model": {"kind": "linear"},
    "sampler": "random",
    "trials": 10_000,
    "epochs": 100,
}


@dataclass
class Story:
    """A service behind its door, one person's page of it, and what has come of the story."""

    url: str
    key: str
    other_key: str
    page: Page
    watch: Watch
    http: httpx.Client  # of a program, without a key of its own
    refused: str = ""  # what the browser may say on its console in this test
    dataset: str = ""
    answered: str = ""  # the job

    def api(self, path: str) -> httpx.Response:
        """What the service answers to a program that has the person's key."""
        return self.http.get(path, headers=bearer(self.key))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def story(
    browser: Browser, source_tree: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    """`ridgeway serve` that asks for keys, two of them, and a page that has shown none."""
    data = tmp_path_factory.mktemp("front_door") / "data"
    key = source_tree.run(["keys", "create", "a person", "--data", str(data)]).split()[-1]
    deployment = source_tree.serve(data, workers=1, environment=CLOSED)
    database = deployment.database()
    other_key = make_key(database)
    database.close()
    context, watch = browser.new_context(viewport=WIDE), Watch()
    context.set_default_timeout(60_000)  # the machine may be busy
    watch.over(context)
    with httpx.Client(base_url=deployment.url, timeout=60) as http:
        yield Story(deployment.url, key, other_key, context.new_page(), watch, http)
    context.close()
    deployment.stop()


@pytest.fixture(autouse=True)
def nothing_complains(story: Story) -> Iterator[None]:
    """No test has a word on the console but what it says is refused, nor asks another host."""
    story.refused = ""
    story.watch.asked.clear()
    story.watch.complaints.clear()
    yield
    assert story.watch.unexpected(story.refused) == []
    assert story.watch.elsewhere(story.url) == []


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def agree(page: Page, button: str, yes: str) -> None:
    """Click a button of the job, and the one that agrees in the dialog that asks."""
    page.locator("#actions").get_by_role("button", name=button).click()
    page.get_by_role("dialog").get_by_role("button", name=yes).click()


def shows(page: Page, state: str) -> None:
    """Wait until the page shows the job's state."""
    page.locator("#state", has_text=state).wait_for()


def test_signing_in_tells_of_a_wrong_key_and_leads_to_where_one_wanted(story: Story) -> None:
    page, story.refused = story.page, "status of 403"
    page.goto(f"{story.url}/?state=failed")
    assert page.url == f"{story.url}/sign-in?next=/%3Fstate%3Dfailed"
    sign_in(page, story.key[:-1] + "?")
    page.get_by_text("This key does not hold").wait_for()
    field = page.get_by_label("API key")
    assert (field.get_attribute("aria-invalid"), field.input_value()) == ("true", "")
    sign_in(page, story.key)
    page.wait_for_url(f"{story.url}/?state=failed")
    assert page.locator(".signed-in span").inner_text() == "a person"
    assert page.locator("h2").inner_text() == "No job is like that"


def test_a_table_is_uploaded_and_a_job_submitted_once_its_error_is_mended(
    story: Story, tmp_path: Path
) -> None:
    page, story.refused = story.page, "status of 422"
    page.get_by_role("link", name="Data sets").click()
    page.get_by_role("button", name="Upload").click()
    assert page.inner_text("#file-error") == "Choose a file first."
    file = tmp_path / "patients.csv"
    load_diabetes(as_frame=True).frame.to_csv(file, index=False)
    page.get_by_label("File", exact=True).set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("heading", name="patients").wait_for()
    assert "442 rows of 11 columns" in page.inner_text(".lead")
    story.dataset = page.url.rpartition("/")[2]
    page.get_by_label("Leave sex out").check()
    page.get_by_role("button", name="Search for its penalty").click()

    page.get_by_label("Model", exact=True).select_option("linear")
    trials = page.get_by_label("Trials", exact=True)
    trials.fill("none")
    page.get_by_role("button", name="Start the search").click()
    page.get_by_role("heading", name="This job can't be submitted yet").wait_for()
    assert trials.get_attribute("aria-invalid") == "true"
    assert page.inner_text("#trials-error") != ""
    assert page.evaluate("document.activeElement.id") == "trials"

    trials.fill("12")
    page.get_by_label("Epochs", exact=True).fill("4")
    page.get_by_role("button", name="Start the search").click()
    page.wait_for_url(re.compile("/jobs/[0-9a-f-]{36}$"))
    story.answered = page.url.rpartition("/")[2]
    spec = story.api(f"/v1/jobs/{story.answered}").json()["spec"]
    asked = {"dataset": "patients", "drop": ["sex"], "trials": 12, "epochs": 4}
    assert spec == {**spec, **asked}


def test_the_job_is_watched_to_its_verdict_report_and_dashboard(story: Story) -> None:
    page = story.page
    page.locator(".verdict").wait_for()  # nobody reloads
    answer = story.api(f"/v1/jobs/{story.answered}").json()["recommended"]
    verdict = page.inner_text(".verdict")
    assert verdict in answer["verdict"]["sentence"]
    place = page.locator(".verdict").bounding_box()
    assert place is not None
    assert place["y"] + place["height"] < WIDE["height"]  # it is seen at once
    picture = page.locator("#plot-path img")
    picture.scroll_into_view_if_needed()
    picture.evaluate("image => image.decode()")  # which fails for what is no picture
    assert (picture.get_attribute("alt") or "").startswith("Regularisation path: ")

    page.get_by_role("link", name="The report").click()
    assert verdict in page.inner_text(".verdict")
    assert page.locator("figure svg").count() >= 4
    page.go_back()
    page.get_by_role("link", name="Every trial in the Optuna dashboard").click()
    page.locator("text.ytitle").first.wait_for()


def test_a_long_job_is_steered_to_its_end_and_deleted(story: Story) -> None:
    page = story.page
    made = story.http.post("/v1/jobs", json=LONG, headers=bearer(story.key)).json()
    page.goto(f"{story.url}/")
    page.get_by_role("link", name=LONG["name"]).click()
    page.locator("#chart circle").first.wait_for()
    streams = [url for url in story.watch.asked if url.endswith(f"{made['id']}/events")]
    assert len(streams) == 1
    actions = page.get_by_role("group", name="What to do with the job")
    actions.get_by_role("button", name="Pause").click()
    shows(page, "paused")
    actions.get_by_role("button", name="Resume").click()
    shows(page, "running")
    actions.get_by_role("button", name="More trials").click()
    page.get_by_label("How many more trials").fill("11")
    page.get_by_role("button", name="Add them").click()
    page.get_by_text(f"of {LONG['trials'] + 11:,} trials done").first.wait_for()
    agree(page, "Answer now", "Answer now")
    page.locator(".verdict").wait_for()
    shows(page, "succeeded")

    actions.get_by_role("button", name="More trials").click()
    page.get_by_label("How many more trials").fill("10000")
    page.get_by_role("button", name="Add them").click()
    page.get_by_text("This is the answer from before.").wait_for()
    actions.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Keep it going").click()
    agree(page, "Cancel", "End it")
    shows(page, "cancelled")
    actions.get_by_role("button", name="Delete").click()
    page.keyboard.press("Escape")
    agree(page, "Delete", "Delete it")
    page.wait_for_url(f"{story.url}/")
    assert page.get_by_role("link", name=LONG["name"]).count() == 0
    assert story.api(made["links"]["self"]).status_code == 404


def test_another_key_sees_none_of_it(story: Story, browser: Browser) -> None:
    with visited(browser, story.url, "status of 404", viewport=WIDE) as page:
        sign_in(page, story.other_key)
        page.get_by_text("Start the first job").wait_for()
        for address in (f"/jobs/{story.answered}", f"/datasets/{story.dataset}"):
            page.goto(story.url + address)
            assert page.inner_text("h1") == "Not Found", address
        page.goto(f"{story.url}/datasets")
        page.get_by_role("link", name="diabetes").wait_for()  # it is everybody's
        assert page.get_by_role("link", name="patients").count() == 0


def test_on_a_phone_in_the_dark_nobody_is_shut_out(story: Story, browser: Browser) -> None:
    addresses = ("/", f"/datasets/{story.dataset}", f"/jobs/{story.answered}")
    with visited(browser, story.url, viewport=PHONE, color_scheme="dark") as page:
        fits(page)
        sign_in(page, story.key)
        page.wait_for_url(f"{story.url}/")
        for address in addresses:
            page.goto(story.url + address)
            fits(page)
        page.emulate_media(color_scheme="light")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        fits(page)


def test_signed_out_neither_back_nor_the_api_show_anything(story: Story) -> None:
    page = story.page
    page.goto(f"{story.url}/jobs/{story.answered}")
    page.locator(".verdict").wait_for()
    (cookie,) = page.context.cookies()
    kept = {"Cookie": f"{cookie.get('name')}={cookie.get('value')}"}
    job = f"/v1/jobs/{story.answered}"
    assert story.http.get(job, headers=kept).status_code == 200
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{story.url}/sign-in")
    page.go_back()
    assert page.url == f"{story.url}/sign-in?next=/jobs/{story.answered}"
    assert page.locator(".verdict").count() == 0
    for address in ("/v1/jobs", job, f"{job}/report"):
        assert page.request.get(story.url + address).status == 401, address
        assert story.http.get(address, headers=kept).status_code == 401, address
