"""The prose names what is there: files, links, rooms; its lines are of a bearable length."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("ridgeway", "service", "workers")
PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md"))
)
PATH = re.compile(
    r"`((?:benchmarks|deploy|docs|examples|migrations|ridgeway|service|tests|workers)/[\w/.*-]*)"
)
LONGEST_LINE = 100


def prose_of(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """Return what a link may name behind #: headings in small letters, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = PATH.findall(prose_of(page))
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/.")))] == []


def leads_somewhere(page: Path, link: str) -> bool:
    """Tell whether a link of a page names a file that there is, and a heading in it."""
    name, _, anchor = link.partition("#")
    target = (ROOT / page).parent / name if name else ROOT / page
    return target.exists() and (not anchor or anchor in anchors_of(target))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose_of(page))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not leads_somewhere(page, link)] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_lines_wrap(page: Path) -> None:
    lines = (ROOT / page).read_text().splitlines()
    lines = [line for line in lines if not line.startswith("|")]  # a table's row can't
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


def test_the_architecture_names_every_room_and_no_other() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (tree,) = re.findall(r"^```\n(service/.*?)^```$", page, re.MULTILINE | re.DOTALL)
    drawn: set[str] = set()
    house = room = ""
    for line in tree.splitlines():
        if found := re.match(r"(\w+)/ ", line):
            house = found[1]
            drawn.add(house)
        elif found := re.match(r"  (\w+)/ ", line):
            room = found[1]
            drawn.add(f"{house}/{room}")
        elif found := re.match(r"    (\w+)/ ", line):
            drawn.add(f"{house}/{room}/{found[1]}")
    rooms = {
        str(path.parent.relative_to(ROOT))
        for house in ROOMS
        for path in (ROOT / house).glob("**/__init__.py")
    }
    assert drawn - {"deploy", "migrations"} == rooms
