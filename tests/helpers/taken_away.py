"""Models drawn at random, and their files as an answer keeps them, for tables that have it all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from answering import told_trials

from ridgeway.spec.wording import parse_spec
from workers.answer.artifact import model_bytes
from workers.answer.choice import Refit
from workers.data.prepare import Prepared, check_and_prepare
from workers.models.building import build_model, predict
from workers.objectives.losses import kind_of
from workers.population.results import TrainedModel

# Each with all that a table may do: gaps, levels that only sealed rows hold, a constant column,
# columns that are no inputs, and the numbers and categories out of order.
ROWS = 160
PARAMS = {"penalty": "l1", "lambda": 0.01, "learning_rate": 0.05}


def table(target: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    city = rng.choice(["Oslo", "Rome", "x=y", None], ROWS)
    age, height = rng.normal(40, 10, ROWS), rng.normal(1.7, 0.1, ROWS)
    age[rng.random(ROWS) < 0.2] = np.nan
    frame = pd.DataFrame(
        {
            "city": city,
            "age": age,
            "who": [f"s{row // 4}" for row in range(ROWS)],
            "steady": 3.0,
            "note": rng.random(ROWS),
            "member": rng.random(ROWS) < 0.5,
            "height": height,
        }
    )
    signal = np.nan_to_num(age, nan=40.0) / 10 + 9 * height + 2.0 * (city == "Rome")
    return frame.assign(y=target(signal + rng.normal(0, 0.5, ROWS)))


def grades(count: int) -> Any:
    return lambda signal: pd.qcut(signal, count, labels=False).astype(float)


def job(target: Any, **fields: Any) -> tuple[Prepared, pd.DataFrame]:
    frame = table(target)
    plain = check_and_prepare(
        parse_spec({"dataset": "d", "groups": "who", "drop": ["note"]}), frame
    )
    # The same seed seals the same rows: some of them get a level that no other row has.
    frame.loc[plain.splits.test[::3], "city"] = "Paris"
    spec = parse_spec({"dataset": "d", "groups": "who", "drop": ["note"], **fields})
    return check_and_prepare(spec, frame), frame


def drawn(prepared: Prepared, seed: int = 0) -> dict[str, torch.Tensor]:
    """Draw a model's weights: what is compared is how they are used."""
    generator = torch.Generator().manual_seed(seed)
    module = build_model(prepared.spec.model, prepared.inputs, prepared.outputs)
    dtype = torch.float64 if prepared.spec.precision == "float64" else torch.float32
    state = module.state_dict()
    return {n: torch.randn(v.shape, generator=generator, dtype=dtype) / 3 for n, v in state.items()}


def kept(prepared: Prepared, parameters: dict[str, torch.Tensor]) -> bytes:
    """Return the file that the answer keeps of such a model."""
    (trial,) = told_trials(PARAMS)
    model = TrainedModel(
        parameters=parameters,
        nonzero_weights=1,
        weights=1,
        diverged_at=0,
        settled=True,
        features=None,
        converged=None,
        separated=False,
    )
    return model_bytes(Refit("simplest", trial, model), prepared, prepared.sealed())


def theirs(prepared: Prepared, parameters: dict[str, torch.Tensor]) -> np.ndarray:
    """Return the worker's logits of the sealed rows, a regression's in its own units."""
    fold = prepared.sealed()
    logits = predict(prepared.spec, parameters, fold.valid_inputs, prepared.outputs).double()
    return fold.response(kind_of(prepared.spec, prepared.outputs), logits).numpy()


LINEAR: dict[str, Any] = {"model": {"kind": "linear"}, "precision": "float64"}


def net(activation: str, **fields: Any) -> dict[str, Any]:
    return {"model": {"kind": "mlp", "hidden": [6, 5], "activation": activation, **fields}}


def number(signal: np.ndarray) -> np.ndarray:
    return 1000 + 20 * signal


def word(signal: np.ndarray) -> np.ndarray:
    return np.where(signal > np.median(signal), "yes", "no")
