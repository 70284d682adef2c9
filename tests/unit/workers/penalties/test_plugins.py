"""Penalties that packages offer: found by name, checked as they come in, trained as any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from populations import configuration, job, made_up_fold, same_bits, train

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.names import penalty_row
from workers.penalties.components import Components
from workers.penalties.l1 import L1
from workers.penalties.penalties import PENALTIES
from workers.penalties.plugins import offered_penalties, plugin_penalty
from workers.penalties.testing import check_penalty

MODULE = """
from workers.penalties.base import Penalty
from workers.penalties.components import Components


class HeavyLasso(Penalty):
    name, sparse = "heavy_lasso", True

    def components(self, strength, l1_ratio):
        return Components(l1=2 * strength)

    def critical_strength(self, gradient, l1_ratio, groups):
        return gradient.abs().max().item() / 2


class Dense(HeavyLasso):
    name, sparse = "dense", False


class Negative(HeavyLasso):
    name = "negative"

    def components(self, strength, l1_ratio):
        return Components(l1=-strength)


class Rooted(HeavyLasso):
    name, sparse, concave = "rooted", True, True

    def components(self, strength, l1_ratio):
        return Components(half=strength)


nothing = 3


class Broken(HeavyLasso):
    def __init__(self):
        raise OSError("no licence")
"""
ENTRY_POINTS = """
[ridgeway.penalties]
heavy_lasso = heavy_penalties:HeavyLasso
dense = heavy_penalties:Dense
rooted = heavy_penalties:Rooted
negative = heavy_penalties:Negative
nothing = heavy_penalties:nothing
other_name = heavy_penalties:HeavyLasso
broken = heavy_penalties:Broken
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a package as pip would: a module and a distribution's metadata."""
    (tmp_path / "heavy_penalties.py").write_text(MODULE)
    metadata = tmp_path / "heavy-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: heavy\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("heavy_lasso", "rooted"):
        PENALTIES.pop(name, None)  # type: ignore[attr-defined]


def test_a_plugins_penalty_is_offered_and_has_a_strength_and_a_label() -> None:
    assert "heavy_lasso" in offered_penalties()
    penalty = PENALTIES["heavy_lasso"]
    assert (penalty.label, penalty.parameters) == ("heavy lasso", ("lambda",))
    assert penalty_row("heavy_lasso").label == "heavy lasso"
    check_penalty(penalty)


@pytest.mark.parametrize("optimizer", ["adamw", "exact"])
def test_it_trains_like_the_one_that_it_stands_for(optimizer: str) -> None:
    fields = {"optimizer": optimizer, "model": {"kind": "linear"}, "epochs": 4}
    found = {
        name: train(
            job(search={"penalty": name}, **fields), [configuration(name, strength)], [FOLD]
        ).parameters(0, 0)["weight"]
        for name, strength in (("heavy_lasso", 0.05), ("l1", 0.1))
    }
    assert same_bits(found["heavy_lasso"], found["l1"])
    assert (found["l1"] == 0).any()


FOLD = made_up_fold()


def test_roots_of_weights_are_refused_beside_kinks_rather_than_left_out() -> None:
    fields = {"optimizer": "exact", "model": {"kind": "linear"}, "task": "regression"}
    members, folds = [configuration("rooted", 10.0)], [made_up_fold(classes=0)]
    squared = train(job(search={"penalty": "rooted"}, **fields), members, folds)
    assert squared.nonzero_weights.max() == 0
    with pytest.raises(JobUnrunnable, match=r"'rooted' has a term in the roots .* loss quantile"):
        train(job(search={"penalty": "rooted"}, loss="quantile", **fields), members, folds)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("dense", "sparse, grouped, concave"),
        ("negative", "no strength"),
        ("nothing", "is a int, not a Penalty"),
        ("other_name", "calls itself 'heavy_lasso'"),
        ("broken", "OSError: no licence"),
        ("missing", "not installed here; offered: .*heavy_lasso"),
    ],
)
def test_what_can_t_be_used_says_why(name: str, says: str) -> None:
    with pytest.raises(JobUnrunnable, match=says):
        plugin_penalty(name)


# --- the helper for authors -----------------------------------------------------------------------


class Loose(L1):
    """Says that more strength is needed than is."""

    def critical_strength(self, gradient, l1_ratio, groups):
        return 1.01 * super().critical_strength(gradient, l1_ratio, groups)


class Shrunk(L1):
    """Never goes away."""

    def components(self, strength, l1_ratio):
        return Components(l1=strength + 0.1)


class Silent(L1):
    """Does not say that it is concave."""

    def components(self, strength, l1_ratio):
        return Components(l1=strength, concavity=0.5)


@pytest.mark.parametrize("name", [*PENALTIES])
def test_every_penalty_of_ours_fits_together(name: str) -> None:
    check_penalty(PENALTIES[name])


@pytest.mark.parametrize(
    ("penalty", "says"),
    [(Loose(), "critical strength"), (Shrunk(), "strength 0"), (Silent(), "concave")],
)
def test_one_that_contradicts_itself_is_noticed(penalty: L1, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_penalty(penalty)
