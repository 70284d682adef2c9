"""The recipes of CONTRIBUTING.md, done to a copy of the source tree as they stand on the page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployments import REPOSITORY

PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text()
PACKAGES = ("ridgeway", "service", "workers", "migrations")


@dataclass(frozen=True)
class Hunk:
    """Lines that stand in a file exactly once, and those that take their place."""

    before: str
    after: str


@dataclass(frozen=True)
class Recipe:
    """What a recipe adds: new files by their paths, and changes of files that there are."""

    files: Mapping[str, str]
    changes: Mapping[str, Sequence[Hunk]]

    def apply(self, tree: Path) -> None:
        """Write the files and make the changes in a copy of the source tree."""
        for name, content in self.files.items():
            assert not (tree / name).exists(), f"{name} is there already"
            (tree / name).write_text(content)
        for name, hunks in self.changes.items():
            text = (tree / name).read_text()
            for hunk in hunks:
                assert text.count(hunk.before) == 1, f"{name} has not once:\n{hunk.before}"
                text = text.replace(hunk.before, hunk.after)
            (tree / name).write_text(text)


def titles() -> list[str]:
    """Return the headings of the recipes."""
    return re.findall(r"^### (.+)$", PAGE, re.MULTILINE)


def recipe(title: str) -> Recipe:
    """Read the recipe under a heading: its Python blocks are files, its diffs are changes."""
    after = PAGE.partition(f"\n### {title}\n")[2]
    section = re.split(r"^##+ ", after, maxsplit=1, flags=re.MULTILINE)[0]
    blocks = re.findall(r"^```(python|diff)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert blocks, f"no recipe under {title!r}"
    files = [_named(block, "# ") for kind, block in blocks if kind == "python"]
    changes = [_named(block, "--- ") for kind, block in blocks if kind == "diff"]
    return Recipe(dict(files), {name: _hunks(diff) for name, diff in changes})


def _named(block: str, mark: str) -> tuple[str, str]:
    """Part a block into the path in its first line and the rest."""
    first, _, rest = block.partition("\n")
    assert first.startswith(mark), f"a block must begin with {mark!r} and a path: {first}"
    return first.removeprefix(mark), rest


def _hunks(diff: str) -> list[Hunk]:
    """Read hunks, parted by lines with @@ alone, whose lines begin with a blank, - or +."""
    return [
        Hunk(_lines(hunk, " -"), _lines(hunk, " +"))
        for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE)
    ]


def _lines(hunk: str, marks: str) -> str:
    return "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in marks)


def copy_of_the_tree(folder: Path) -> Path:
    """Copy the packages and their checks into a folder, which then comes first on PYTHONPATH."""
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / package, folder / package, ignore=ignored)
    return folder
