"""The answer: refits, scores on sealed rows, equivalents in other libraries' terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from answering import give, told_trials, trained_trials, training_of
from safetensors import safe_open
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import BASELINE, MODEL, SHOWN, trial_model
from ridgeway.spec.wording import parse_spec
from workers.answer.described import described
from workers.answer.refits import refitted
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare

pytestmark = pytest.mark.usefixtures("brief")


def linear(**fields: Any) -> Prepared:
    spec = parse_spec(
        {
            "dataset": "diabetes",
            "model": {"kind": "linear"},
            "optimizer": "sgd",
            "trials": 20,  # so many that paths and halves are short
            **fields,
        }
    )
    return check_and_prepare(spec, bundled_frame("diabetes"))


def test_the_kept_model_predicts_as_lasso_with_the_reported_alpha(tmp_path: Path):
    prepared = linear(epochs=600, batch_size=10_000)
    store = Store(str(tmp_path))
    params = {"penalty": "l1", "lambda": 0.1, "learning_rate": 0.05}
    given = give(prepared, store, told_trials(params))
    chosen = given.recommended.simplest
    assert chosen.equivalents is not None
    rows = prepared.development()
    library = Lasso(**chosen.equivalents["sklearn"], tol=1e-10, max_iter=100_000)
    library.fit(rows.train_inputs.double().numpy(), rows.train_targets.double().numpy())
    assert chosen.refit_nonzero_weights == chosen.selected_features == (library.coef_ != 0).sum()
    path = tmp_path / "model.safetensors"
    path.write_bytes(store.get(given.artifacts[MODEL].address))
    with safe_open(path, "np") as model:
        weight, bias = model.get_tensor("weight"), model.get_tensor("bias")
        metadata = model.metadata()
    np.testing.assert_allclose(weight[0], library.coef_, atol=1e-3)
    # From raw columns to the target's own units by the metadata alone.
    frame = bundled_frame("diabetes").iloc[prepared.splits.test]
    recipe = json.loads(metadata["inputs"])
    inputs = np.stack([(frame[c["source"]] - c["mean"]) / c["scale"] for c in recipe], axis=1)
    standardised = inputs @ weight[0] + bias[0]
    scale, mean = float(metadata["target_scale"]), float(metadata["target_mean"])
    score = r2_score(frame["target"], mean + scale * standardised)
    assert given.recommended.test.simplest == pytest.approx(score, abs=1e-4)
    assert given.recommended.test.baseline == pytest.approx(0.0, abs=0.1)
    assert given.recommended.test.rows == len(frame)


TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "squared errors": ("diabetes", {}),
    "log losses": ("breast_cancer", {}),
    "counts": ("diabetes", {"loss": "poisson"}),
}


def refitted_with_equivalents(
    prepared: Prepared, params: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, dict[str, float]]]:
    """Return the parameters of a trial's refit, and its strength in other libraries' terms."""
    (trial,) = trained_trials(prepared, params)
    refits = refitted({"simplest": trial}, prepared, training_of(prepared))
    told = described(refits.by_role["simplest"], prepared).equivalents
    assert told is not None
    return dict(refits.by_role["simplest"].model.parameters), told


@pytest.mark.parametrize("kind", TARGETS)
def test_torchs_optimiser_reaches_the_optimum_with_the_reported_decay(kind: str) -> None:
    dataset, fields = TARGETS[kind]
    spec = parse_spec(
        {"dataset": dataset, "model": {"kind": "linear"}, "precision": "float64", **fields}
    )
    prepared = check_and_prepare(spec, bundled_frame(dataset))
    ours, told = refitted_with_equivalents(prepared, {"penalty": "l2", "lambda": 0.02})
    rows = prepared.development()
    inputs, targets = rows.train_inputs, rows.train_targets.double()
    raw = targets * rows.target_scale + rows.target_mean
    loss, own, scale = {
        "squared errors": (torch.nn.MSELoss(), raw, rows.target_scale),
        "log losses": (torch.nn.BCEWithLogitsLoss(), targets, 1.0),
        "counts": (torch.nn.PoissonNLLLoss(), raw, 1.0),
    }[kind]
    model = torch.nn.Linear(inputs.shape[1], 1).double()
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.constant_(model.bias, own.mean().log() if kind == "counts" else 0)
    rate = 0.1 / own.mean().item() if kind == "counts" else 0.1
    groups = [{"params": model.weight, **told["torch"]}, {"params": model.bias}]
    optimiser = torch.optim.SGD(groups, lr=rate, momentum=0.9)
    for _ in range(600):
        optimiser.zero_grad()
        loss(model(inputs).squeeze(-1), own).backward()
        optimiser.step()
    np.testing.assert_allclose(model.weight.detach() / scale, ours["weight"], atol=1e-4)


@pytest.mark.parametrize(
    ("penalty", "library"), [("l1", Lasso), ("l2", Ridge), ("elastic_net", ElasticNet)]
)
def test_scikit_learn_predicts_the_raw_target_as_the_kept_model(penalty: str, library: Any) -> None:
    prepared = linear(optimizer="exact", precision="float64")
    params = {"penalty": penalty, "lambda": 0.05}
    params |= {"l1_ratio": 0.5} if penalty == "elastic_net" else {}
    ours, told = refitted_with_equivalents(prepared, params)
    assert ("torch" in told) is (penalty == "l2")
    frame, rows = bundled_frame("diabetes").iloc[prepared.splits.development], prepared.sealed()
    inputs = StandardScaler().fit_transform(frame.drop(columns="target"))
    theirs = library(**told["sklearn_raw_target"], tol=1e-12).fit(inputs, frame["target"])
    logits = torch.from_numpy(inputs) @ ours["weight"].T + ours["bias"]
    predicted = rows.response("regression", logits)
    np.testing.assert_allclose(predicted[:, 0], theirs.predict(inputs), rtol=1e-5)


def test_a_diverged_refit_has_no_score_and_leaves_no_model(tmp_path: Path):
    prepared = linear(epochs=30)
    bad = {"penalty": "l2", "lambda": 1e3, "learning_rate": 1e3}
    good = {"penalty": "none", "learning_rate": 0.01}
    given = give(prepared, Store(str(tmp_path)), told_trials(bad, good))
    test = given.recommended.test
    assert (test.simplest, test.best) == (None, None)
    assert test.none is not None
    assert set(test.loss) == {"none", "baseline"}
    assert given.recommended.simplest.refit_nonzero_weights is None
    # those of the other roles
    assert set(given.artifacts) == {BASELINE, trial_model(1), SHOWN}
    assert any("diverged in epoch" in warning for warning in given.warnings)


def test_strengths_with_weight_decay_or_noise_or_of_nets_have_no_equivalent(tmp_path: Path):
    prepared = linear(epochs=1)
    params = {"penalty": "l1", "lambda": 0.05, "learning_rate": 0.05}
    with_decay = give(prepared, Store(str(tmp_path)), told_trials({**params, "weight_decay": 0.1}))
    assert with_decay.recommended.simplest.equivalents is None
    prepared = linear(epochs=1, input_noise=0.1)
    noisy = give(prepared, Store(str(tmp_path)), told_trials(params))
    assert noisy.recommended.simplest.equivalents is None
    prepared = linear(epochs=1, model={"kind": "mlp", "hidden": [4]})
    net = give(prepared, Store(str(tmp_path)), told_trials(params))
    assert net.recommended.simplest.equivalents is None
    assert net.recommended.simplest.selected_features is not None
