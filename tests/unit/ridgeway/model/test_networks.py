"""A model's file that is damaged says so, and what its layers compute is what torch does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import save

from ridgeway.cli import main
from ridgeway.errors import Unreadable
from ridgeway.model.model import read_model
from ridgeway.model.networks import ACTIVATIONS, ERF_AT_ONCE

INPUT = {"name": "x", "source": "x", "mean": 0.0, "scale": 1.0}
COLUMN = {"name": "x", "kind": "number"}
ONE = np.ones((1, 1))
LINE = {"weight": ONE, "bias": np.zeros(1)}


def file(tensors: dict[str, Any], **other: str) -> bytes:
    spec = {"model": {"kind": "linear"}, "task": "regression", "target": "y"}
    words = {"outputs": "1", "classes": "[]", "target_mean": "0", "target_scale": "1"}
    words |= {"inputs": json.dumps([INPUT]), "columns": json.dumps([COLUMN])}
    return save(tensors, metadata={**words, "spec": json.dumps(spec), **other})


DAMAGED = {
    "cut off": file(LINE)[:-1],
    "no tensors": file({}),
    "no bias": file({"weight": ONE}),
    "a flat weight": file({"weight": np.ones(1), "bias": np.zeros(1)}),
    "a long bias": file({"weight": ONE, "bias": np.zeros(2)}),
    "a layer without a number": file({"x.weight": ONE, "x.bias": np.zeros(1)}),
    "no columns": file(LINE, columns="[]"),
    "columns of others": file(LINE, columns=json.dumps([{**COLUMN, "name": "z"}])),
    "a text as a number": file(LINE, columns=json.dumps([{**COLUMN, "kind": "category"}])),
    "a kind that is none": file(LINE, columns=json.dumps([{**COLUMN, "kind": "colour"}])),
    "too many classes": file(LINE, classes='["a", "b", "c"]'),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_unreadable(damage: str) -> None:
    assert read_model(file(LINE)).predict({"x": [3]}).tolist() == [3.0]
    with pytest.raises(Unreadable, match="not as it should be"):
        read_model(DAMAGED[damage])


def test_the_command_line_says_so_without_a_traceback(tmp_path: Path) -> None:
    model, data = tmp_path / "model.safetensors", tmp_path / "rows.csv"
    model.write_bytes(DAMAGED["cut off"])
    data.write_text("x\n1\n", encoding="utf-8")
    result = CliRunner().invoke(main, ["predict", str(model), str(data)])
    assert result.exit_code == 2
    assert result.stderr.startswith("The model's file is not as it should be")


def test_gelu_is_torchs_beyond_one_call_of_erf() -> None:
    x = np.linspace(-8, 8, 2 * ERF_AT_ONCE + 4).reshape(4, -1)
    expected = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ACTIVATIONS["gelu"](x), expected, rtol=0, atol=1e-14)
