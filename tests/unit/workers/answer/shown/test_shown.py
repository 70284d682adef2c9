"""What a whole answer keeps for pictures: every part, in little space, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from answering import give, trained_trials
from safetensors.torch import load

from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import MODEL, SHOWN
from ridgeway.shown import Shown
from ridgeway.spec.wording import parse_spec
from workers.answer.shown import shown as module
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare

pytestmark = pytest.mark.usefixtures("brief")

RATE = {"learning_rate": 0.02}
L1, L2 = {"penalty": "l1", "lambda": 0.02, **RATE}, {"penalty": "l2", "lambda": 0.02, **RATE}
NONE = {"penalty": "none", **RATE}


def prepared_for(name: str, **fields: Any) -> Prepared:
    return check_and_prepare(parse_spec({"dataset": name, **fields}), bundled_frame(name))


def kept(folder: Path, prepared: Prepared, *params: dict[str, Any]) -> bytes:
    store = Store(str(folder))
    given = give(prepared, store, trained_trials(prepared, *params))
    return store.get(given.artifacts[SHOWN].address)


def test_a_net_has_every_part_and_the_same_each_time(tmp_path: Path) -> None:
    net = {"model": {"kind": "mlp", "hidden": [8]}, "epochs": 12, "trials": 9}
    prepared = prepared_for("breast_cancer", **net)
    data = kept(tmp_path, prepared, L1, L2, NONE)
    assert data == kept(tmp_path, prepared, L1, L2, NONE)
    assert len(data) < 20_000
    found = Shown.model_validate_json(data)
    assert found.absent == {}
    assert found.sealed is not None
    assert found.sealed.classes[0].auc is not None
    assert found.learning is not None
    by_penalty = {own.penalty: own for own in found.weights.histograms} if found.weights else {}
    assert set(by_penalty) == {"l1", "l2", "none"}
    for own in by_penalty.values():
        assert own.weights == 30 * 8 + 8  # biases are not held
        assert sum(own.counts) == own.weights - own.zeros
    assert by_penalty["l1"].zeros > 0
    assert by_penalty["l2"].zeros == by_penalty["none"].zeros == 0


def test_weights_are_in_bins_that_all_share(tmp_path: Path) -> None:
    prepared = prepared_for("diabetes", model={"kind": "linear"}, precision="float64")
    strong = {"penalty": "l2", "lambda": 1.0}
    found = Shown.model_validate_json(
        kept(tmp_path, prepared, {"penalty": "l1", "lambda": 0.1}, strong, {"penalty": "none"})
    )
    assert set(found.absent) == {"learning"}
    assert found.weights is not None
    assert found.weights.confirmed
    edges = np.array(found.weights.edges)
    assert (len(edges), edges[0]) == (41, -edges[-1])
    own = {histogram.penalty: histogram for histogram in found.weights.histograms}
    assert own["l2"].largest < own["none"].largest
    middle = slice(15, 25)
    assert sum(own["l2"].counts[middle]) > sum(own["none"].counts[middle])
    assert all(each.beyond <= each.counts[0] + each.counts[-1] for each in own.values())


def test_without_fresh_splits_the_refits_are_shown(tmp_path: Path) -> None:
    """A class that two groups hold leaves the job one split of them and no other."""
    table = pd.DataFrame({"x": np.arange(40.0), "subject": np.arange(40) // 4})
    table["y"] = np.where(table["subject"] < 2, "a", "b")
    fields = {"groups": "subject", "target": "y", "model": {"kind": "linear"}}
    fields |= {"validation": {"kind": "holdout", "fraction": 0.2}}
    prepared = check_and_prepare(parse_spec({"dataset": "made up", **fields}), table)
    data = kept(tmp_path, prepared, {"penalty": "l2", "lambda": 0.1}, {"penalty": "none"})
    assert Shown.model_validate_json(data).weights is not None


def test_a_part_that_fails_leaves_the_answer_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepared_for("diabetes", model={"kind": "linear"}, precision="float64")
    trials = trained_trials(prepared, {"penalty": "l1", "lambda": 0.1}, {"penalty": "none"})
    whole_store, store = Store(str(tmp_path / "whole")), Store(str(tmp_path / "broken"))
    whole = give(prepared, whole_store, trials)

    def broken(*given: Any) -> Any:
        raise ZeroDivisionError

    for name in ("learning", "weights", "flicker", "sealed_curves"):
        monkeypatch.setattr(module, name, broken)
    without = give(prepared, store, trials)
    assert without.recommended == whole.recommended
    assert set(without.artifacts) == set(whole.artifacts)
    models = [load(each.get(MODEL)) for each in (whole_store, store)]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    found = Shown.model_validate_json(store.get(without.artifacts[SHOWN].address))
    assert set(found.absent) == {"learning", "weights", "flicker", "sealed"}
