"""The models of an answer's roles: each kept once, each what the answer tells of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from answering import give, told_trials, trained_trials, training_of
from scripted import make_answered_job
from sklearn.metrics import r2_score

from ridgeway.answers import ModelRole, Recommended
from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import BASELINE, LINEAR, MODEL, model_names, trial_model
from ridgeway.model.model import Model, read_model
from ridgeway.spec.wording import parse_spec
from workers.answer.answer import Answer
from workers.answer.refits import refitted
from workers.answer.role_files import RoleModels
from workers.answer.sealed import SealedTest
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare

pytestmark = pytest.mark.usefixtures("brief")

RATE = {"learning_rate": 0.02}
PARAMS: list[dict[str, Any]] = [
    {"penalty": "l1", "lambda": 0.02, **RATE},
    {"penalty": "l2", "lambda": 0.001, **RATE},
    {"penalty": "none", **RATE},
]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    net = {"kind": "mlp", "hidden": [4]}
    spec = parse_spec({"dataset": "diabetes", "model": net, "epochs": 8, "trials": 20})
    return check_and_prepare(spec, bundled_frame("diabetes"))


def answered(prepared: Prepared, folder: Path) -> tuple[Answer, dict[ModelRole, Model]]:
    """Return an answer, and its roles' models as their files tell them."""
    store = Store(str(folder))
    given = give(prepared, store, trained_trials(prepared, *PARAMS))
    names = model_names(given.recommended)
    models = {
        role: read_model(store.get(given.artifacts[name].address))
        for role, name in names.items()
        if name in given.artifacts
    }
    return given, models


def told(answer: Recommended, role: str) -> float:
    return answer.test.metrics[role]["r2"]


def test_each_roles_model_scores_as_the_answer_says(prepared: Prepared, tmp_path: Path) -> None:
    given, models = answered(prepared, tmp_path)
    assert set(models) == {"recommended", "simplest", "best", "none", "linear", "baseline"}
    rows = bundled_frame("diabetes").iloc[prepared.splits.test]
    for role, model in models.items():
        scored = given.recommended.choice if role == "recommended" else role
        score = r2_score(rows["target"], model.predict(rows))
        assert score == pytest.approx(told(given.recommended, scored), abs=1e-5), role
    linear = models["linear"]
    assert linear.coef_.shape == (10,)
    assert linear.settings["penalty"] == "l2"
    kept = [name for name in given.artifacts if name.endswith(".safetensors")]
    trials = {given.recommended.simplest.number, given.recommended.best.number}
    assert given.recommended.none is not None
    assert len(kept) == 2 + len(trials | {given.recommended.none.number})
    assert {MODEL, LINEAR, BASELINE} <= set(kept)


@pytest.mark.parametrize(
    ("room", "kept"),
    [
        (39, set()),
        (40, {BASELINE}),
        (4 * (10 * 4 + 4 + 4 + 1), {trial_model(1)}),
        (4 * (10 * 4 + 4 + 4 + 1) + 40, {trial_model(1), BASELINE}),
    ],
)
def test_what_has_no_room_is_left_out(
    room: int, kept: set[str], prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.answer.role_files.MOST_BYTES", room)
    simplest, best = told_trials(*PARAMS[:2])
    refits = refitted({"simplest": simplest, "best": best}, prepared, training_of(prepared))
    models = RoleModels(refits, None, SealedTest.opened(prepared, {}), prepared)
    answer = make_answered_job().recommended
    assert answer is not None
    zero, one = (answer.best.model_copy(update={"number": number}) for number in (0, 1))
    answer = answer.model_copy(update={"simplest": zero, "best": one, "none": None})
    assert set(models.files(answer)) == kept
