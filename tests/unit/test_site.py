"""The documentation site leads to every page, and says what the service says of itself."""

from __future__ import annotations

import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ridgeway.settings import Settings
from service.app import create_app

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("examples/notebooks/*.ipynb"),
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
]
TABLE_OF_CONTENTS = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def led_to(page: Path) -> Iterator[Path]:
    """Yield the pages that a page's tables of contents name, as files."""
    text = page.read_text() if page.suffix == ".md" else ""
    for table in TABLE_OF_CONTENTS.findall(text):
        for line in filter(None, table.splitlines()):
            if line.startswith(":"):
                continue
            entry = re.sub(r"^.*<(.+)>$", r"\1", line)
            folder = ROOT if entry.startswith("/") else page.parent
            found = [
                path.resolve()
                for ending in (".md", ".ipynb")
                for path in folder.glob(entry.lstrip("/") + ending)
            ]
            assert found, f"{page} leads to {entry}, which is not there"
            yield from found


def test_every_page_is_reached_from_the_first_one() -> None:
    reached, waiting = set[Path](), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += led_to(page)
    assert {page for page in PAGES if page not in reached} == set()


def test_the_site_is_of_this_release_and_its_sections_are_not_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])  # which the file extends
    conf = runpy.run_path(str(ROOT / "docs" / "conf.py"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert conf["release"] == conf["version"] == project["version"]
    sections = list(led_to(ROOT / "docs" / "index.md"))
    assert conf["html_theme_options"]["header_links_before_dropdown"] >= len(sections)


def test_the_page_of_rest_calls_has_all_of_the_document() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "rest_page.py"))["rest_page"]()
    document = create_app(Settings()).openapi()
    calls = {
        f"### {method.upper()} `{path}`"
        for path, item in document["paths"].items()
        for method in item
    }
    assert set(re.findall(r"^### [A-Z]+ `/.*`$", page, re.MULTILINE)) == calls
    shapes = set(re.findall(r"^\(shape-(\w+)\)=$", page, re.MULTILINE))
    assert shapes == set(document["components"]["schemas"])
    assert set(re.findall(r"\(#shape-(\w+)\)", page)) <= shapes
    for name, schema in document["components"]["schemas"].items():
        text = page.partition(f"(shape-{name})=")[2].partition("\n(shape-")[0]
        assert set(schema.get("properties", ())) <= set(re.findall(r"^\| `(\w+)` \|", text, re.M))
