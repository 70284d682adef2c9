"""A curvature that is kept at a rung changes no bit of whoever starts there."""

from __future__ import annotations

import weakref

import pytest
import torch

from workers.fullbatch import paths
from workers.fullbatch.exact import ExactFold
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.kernels import kept, load
from workers.kernels.library import Library
from workers.penalties.components import Components

# Of one rung each; the weaker, the more features a member begins with.
LASSOS = [Components(l1=strength) for strength in (0.02, 0.012, 0.009)]
RIDGES = [Components(l2=strength) for strength in (0.02, 0.012, 0.009)]
GROUPS = [Components(group=strength) for strength in (0.02, 0.012, 0.009)]


@pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")
@pytest.mark.parametrize("parts", [LASSOS, RIDGES, GROUPS], ids=["l1", "l2", "group"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_member_has_the_same_bits_in_any_company(
    monkeypatch: pytest.MonkeyPatch, parts: list[Components], classes: int
) -> None:
    alone = [_solved([part], classes)[0] for part in parts]
    down, up = _solved(parts, classes), _solved(parts[::-1], classes)[::-1]
    monkeypatch.setattr(paths, "MOST_KEPT", 0)  # each start makes room for the next one
    crowded = _solved(parts, classes)
    for other in (down, up, crowded):
        for place in range(len(parts)):
            assert torch.equal(other[place], alone[place])


@pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")
def test_members_of_a_rung_have_one_curvature(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: list[kept.KeptCurvature] = []
    real = kept.KeptCurvature.__init__

    def noted(self: kept.KeptCurvature, most: int, outputs: int, dtype: torch.dtype) -> None:
        real(self, most, outputs, dtype)
        rooms.append(self)

    monkeypatch.setattr(kept.KeptCurvature, "__init__", noted)
    _solved(RIDGES[:1], 3)
    before = len(rooms)
    assert before > 0
    assert all(own.bytes == 3 * 41 * 42 // 2 * 4 for own in rooms)  # all features, pairs of classes
    rooms.clear()
    _solved([Components(l2=0.02 - place * 1e-5) for place in range(5)], 3)
    assert len(rooms) == before


@pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")
def test_what_is_kept_is_a_share_of_what_all_folds_may_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alive: weakref.WeakSet[kept.KeptCurvature] = weakref.WeakSet()
    real = kept.KeptCurvature.__init__

    def noted(self: kept.KeptCurvature, most: int, outputs: int, dtype: torch.dtype) -> None:
        real(self, most, outputs, dtype)
        alive.add(self)

    room = 3 * 41 * 42 // 2 * 4  # of one rung
    monkeypatch.setattr(kept.KeptCurvature, "__init__", noted)
    monkeypatch.setattr(paths, "MOST_KEPT", 8 * room)
    fold = _fold(3, folds=4)
    for decade in range(4):
        fold.solve(Wanted(Components(l2=0.02 / 10**decade)))
    assert room <= sum(own.bytes for own in alive) <= (8 / 4 + 1) * room


def _solved(parts: list[Components], classes: int) -> list[torch.Tensor]:
    fold = _fold(classes)
    found = [fold.solve(Wanted(part)) for part in parts]
    assert all(own is not None and own.converged for own in found)
    return [torch.cat([own.weights, own.intercepts[:, None]], 1) for own in found if own]


def _fold(classes: int, folds: int = 1) -> ExactFold:
    """Return the first of so many folds of the same rows."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 40, generator=generator)
    scores = inputs[:, :20] @ torch.randn(20, classes, generator=generator) / 4
    targets = (scores + torch.randn(500, classes, generator=generator)).argmax(1)
    outputs = 1 if classes == 2 else classes
    kind = "binary" if classes == 2 else "multiclass"
    own = targets.float() if classes == 2 else targets
    rows, library = TrainingRows(inputs, own), load(torch.float32)
    assert isinstance(library, Library)
    fit = LinearFit([rows] * folds, kind, outputs, torch.float32, torch.device("cpu"))
    return ExactFold(fit, rows, library)
