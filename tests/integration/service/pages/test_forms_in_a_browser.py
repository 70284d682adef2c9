"""What a person does with the pages of a new job and of data sets, in Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from barriers import fits
from browsers import PHONE, WIDE, visited
from pages import NASTY
from serving import serve

from ridgeway.settings import Settings
from ridgeway.spec.shortest import shortest
from ridgeway.spec.wording import parse_spec

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REFUSED = "status of 422"  # the browser's word on a job that is refused
COLUMN = "<img src=x onerror=alert(1)>"
TABLE = f"age,{COLUMN},city,buys\n" + "".join(
    f"{20 + place},{place % 7},{('Oslo', 'Rome')[place % 2]},{('no', 'yes')[place % 3 == 0]}\n"
    for place in range(60)
)


@pytest.fixture(scope="module")
def url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service, for all visits of this file."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(sqlite_template, folder / "ridgeway.db")
    given: dict[str, Any] = {"data": folder, "database_url": f"sqlite:///{folder}/ridgeway.db"}
    with serve(Settings(**given)) as served:
        yield served.url


@pytest.fixture(scope="module")
def dataset(url: str) -> str:
    """A data set with a name that is no good manners; its id."""
    name = f"people {NASTY}"
    address = f"{url}/v1/datasets"
    return httpx.post(address, params={"name": name}, content=TABLE, timeout=60).json()["id"]


def told(page: Page) -> Any:
    """Return the job that the form shows as JSON."""
    return json.loads(page.locator("#as-json").text_content() or "null")


def checked(page: Page, act: Callable[[], Any]) -> None:
    """Do something, and wait until the service has checked the job."""
    act()
    page.locator("aside[aria-busy=false]").wait_for()


def test_no_page_shuts_anybody_out(browser: Browser, url: str, dataset: str):
    looks = (
        ("dark", PHONE, ("/jobs/new?dataset=digits", "/workers")),
        ("light", WIDE, ("/datasets", f"/datasets/{dataset}")),
    )
    with visited(browser, f"{url}/datasets", viewport=PHONE) as page:
        for scheme, size, addresses in looks:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size(size)
            for address in addresses:
                page.goto(url + address, wait_until="networkidle")
                for summary in page.locator("summary").all():
                    summary.click()
                fits(page)
        assert page.locator("tbody th").all_inner_texts() == ["buys target", "age", COLUMN, "city"]


def test_a_data_set_is_renamed_and_deleted_when_no_job_needs_it(
    browser: Browser, url: str, dataset: str
):
    job = httpx.post(f"{url}/v1/jobs", json={"dataset": dataset}).json()["id"]
    with visited(browser, f"{url}/datasets/{dataset}", "status of 4(09|22)", viewport=WIDE) as page:
        assert page.locator("h1").inner_text() == f"people {' '.join(NASTY.split())}"
        name = page.get_by_label("New name")
        for wrong, told in ((" ", "no spaces about them"), ("digits", "bundled")):
            page.get_by_role("button", name="Rename").click()
            name.fill(wrong)
            name.press("Enter")
            page.locator("#new-name-error", has_text=told).wait_for()
            page.keyboard.press("Escape")
        page.get_by_role("button", name="Rename").click()
        name.fill("somebody")
        name.press("Enter")
        page.locator("h1", has_text="somebody").wait_for()

        page.get_by_role("button", name="Delete").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Delete").click()
        page.locator("#delete-error", has_text=job).wait_for()
        httpx.post(f"{url}/v1/jobs/{job}/cancel")
        dialog.get_by_role("button", name="Delete").click()
        page.wait_for_url(f"{url}/datasets")
        assert page.get_by_role("link", name="somebody").count() == 0


def test_a_bad_upload_is_told_at_its_field(browser: Browser, url: str, tmp_path: Path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "wine.csv").write_text(TABLE)
    with visited(browser, f"{url}/datasets", "status of 4(00|09|22)", viewport=WIDE) as page:
        page.get_by_role("button", name="Upload").click()
        assert page.locator("#file-error").inner_text() == "Choose a file first."
        for name, place in (("empty", "#file-error"), ("wine", "#dataset-name-error")):
            page.get_by_label("File", exact=True).set_input_files(tmp_path / f"{name}.csv")
            page.get_by_label("Name", exact=True).fill(name)
            page.get_by_role("button", name="Upload").click()
            page.locator(f"{place}:not(:empty)").wait_for()
        assert "bundled" in page.locator("#dataset-name-error").inner_text()
        assert page.evaluate("document.activeElement.id") == "dataset-name"


def test_bad_fields_are_marked_while_they_are_written(browser: Browser, url: str):
    with visited(browser, f"{url}/datasets", REFUSED, viewport=WIDE) as page:
        checked(page, lambda: page.goto(f"{url}/jobs/new?dataset=digits"))
        assert "Predicts label, the last column (guessed)" in page.locator("#guess").inner_text()
        checked(page, lambda: page.get_by_label("Hidden layers").fill("16, wide"))
        assert "model.hidden.1" in page.locator("#model-hidden-error").inner_text()
        checked(page, lambda: page.get_by_label("Hidden layers").fill("16"))
        assert page.locator("#model-hidden-error").inner_text() == ""

        page.locator("summary", has_text="Anything else").click()
        more = page.get_by_label("Further fields of the job")
        checked(page, lambda: more.fill('{"trails": 3, "search": {"lambda": -1}}'))
        assert more.get_attribute("aria-invalid") == "true"
        wrong = page.locator("#more-error").inner_text()
        assert "trails: unknown field" in wrong
        assert "search.lambda: must be at least 0" in wrong
        more.fill("{")
        page.get_by_text("This is no JSON").wait_for()
        checked(page, lambda: more.fill('{"search": {"lambda": [0.1, 1]}, "epochs": 4}'))
        assert told(page) == {
            "dataset": "digits",
            "model": {"kind": "mlp", "hidden": [16]},
            "search": {"lambda": [0.1, 1]},
            "epochs": 4,
        }


CLONED: list[dict[str, Any]] = [
    {"dataset": "digits", "model": {"kind": "linear"}, "search": {"penalty": ["l1", "scad"]}},
    {"dataset": "digits", "validation": {"kind": "holdout", "fraction": 0.3}, "hierarchy": 5.0},
    {"dataset": "wine", "name": NASTY, "search": {"l1_ratio": 0.5}, "drop": ["ash", "hue"]},
    {"kind": "path", "dataset": "diabetes", "penalty": "l1", "strengths": [0.1, 1.0]},
]


def test_a_job_to_clone_fills_the_form_with_what_it_said(browser: Browser, url: str):
    with visited(browser, f"{url}/datasets", viewport=WIDE) as page:
        for body in CLONED:
            job = httpx.post(f"{url}/v1/jobs", json=body).json()
            checked(page, lambda id=job["id"]: page.goto(f"{url}/jobs/new?from={id}"))
            assert told(page) == shortest(parse_spec(job["spec"]))
            assert page.locator("[aria-invalid]").count() == 0


def test_code_is_reached_by_keys_alone(browser: Browser, url: str):
    with visited(browser, f"{url}/datasets", viewport=WIDE) as page:
        checked(page, lambda: page.goto(f"{url}/jobs/new?dataset=digits"))
        page.get_by_role("tab", name="JSON").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", selected=True).inner_text() == "Python"
        assert "client.submit(" in page.get_by_role("tabpanel").inner_text()
        page.keyboard.press("Home")
        assert page.get_by_role("tab", selected=True).inner_text() == "JSON"
