"""An idle worker notices that plug-ins have changed, once they have come to rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ridgeway.plugins import MODEL_PLUGINS, offered
from workers.loop import upgrades
from workers.loop.upgrades import Upgrades


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "LOOK_SECONDS", -1.0)


def test_what_changed_must_look_the_same_twice() -> None:
    looks = iter(["old", "old", "half", "new", "new"])
    changed = Upgrades(lambda: next(looks))
    assert [changed() for _ in range(4)] == [False, False, False, True]


def test_looks_are_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "LOOK_SECONDS", 60.0)
    looks = iter(["old", "new", "new"])
    changed = Upgrades(lambda: next(looks))
    assert not any(changed() for _ in range(5))
    assert next(looks) == "new", "nobody has looked again"


def test_a_plug_in_that_is_installed_or_upgraded_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    before = offered()
    install(tmp_path, "1.0")
    first = offered()
    assert first - before == {(MODEL_PLUGINS, "lab", "lab:net", "1.0")}
    (tmp_path / "lab-1.0.dist-info").rename(tmp_path / "lab-2.0.dist-info")
    install(tmp_path, "2.0")
    assert offered() - first == {(MODEL_PLUGINS, "lab", "lab:net", "2.0")}


def install(folder: Path, version: str) -> None:
    information = folder / f"lab-{version}.dist-info"
    information.mkdir(exist_ok=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lab\nVersion: {version}")
    (information / "entry_points.txt").write_text(f"[{MODEL_PLUGINS}]\nlab = lab:net\n")
