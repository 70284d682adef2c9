"""Which models have which formats, and what is said where one has none."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from safetensors.numpy import save

from ridgeway.errors import Conflict, InvalidInput
from ridgeway.formats.activations import erf
from ridgeway.formats.graph import Graph
from ridgeway.formats.rendered import Rendered, rendered


def line(kind: str = "linear") -> bytes:
    """Return a file that says y = x."""
    inputs = [{"name": "x", "source": "x", "mean": 0.0, "scale": 1.0}]
    words = {"outputs": "1", "target_mean": "0", "target_scale": "1", "classes": "[]"}
    spec = {"model": {"kind": kind}, "task": "regression", "target": "y"}
    words |= {"inputs": json.dumps(inputs), "spec": json.dumps(spec)}
    return save({"weight": np.ones((1, 1)), "bias": np.zeros(1)}, metadata=words)


@pytest.mark.parametrize("format", ["onnx", "sklearn"])
def test_a_plug_ins_model_and_no_model_are_refused(format: Rendered) -> None:
    with pytest.raises(Conflict, match=r"plug-in's, 'forest'.*ridgeway\.load_model"):
        rendered(line("forest"), format)
    with pytest.raises(InvalidInput, match="is no model of a job"):
        rendered(b"PK", format)


def test_a_net_is_no_pipeline() -> None:
    with pytest.raises(Conflict, match="this one is of kind 'mlp': ask for the format onnx"):
        rendered(line("mlp"), "sklearn")


@pytest.mark.parametrize(
    ("format", "package", "writer"),
    [("onnx", "onnx", "graph"), ("sklearn", "skops", "pipeline")],
)
def test_a_package_that_lacks_is_named_with_its_extra(
    format: Rendered, package: str, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in (writer, "onnx_file", "pipeline", "activations"):
        monkeypatch.delitem(sys.modules, f"ridgeway.formats.{name}", raising=False)
    with pytest.raises(Conflict, match=rf"takes {package}: pip install 'ridgeway\[formats\]'"):
        rendered(line(), format)


def test_erf_in_double_precision_is_maths() -> None:
    graph = Graph([("x", "number")])
    graph.output("y", erf(graph, "x"), TensorProto.DOUBLE, ["rows", 1])
    x = np.concatenate([np.linspace(-8, 8, 4001), [1e-300, -1e300, 1e300, np.inf]])[:, None]
    session = onnxruntime.InferenceSession(graph.written("erf", {}))
    (y,) = session.run(None, {"x": x})
    np.testing.assert_allclose(y[:, 0], [math.erf(v) for v in x[:, 0]], rtol=1e-14, atol=1e-15)


def test_the_same_model_gives_the_same_onnx() -> None:
    assert rendered(line(), "onnx") == rendered(line(), "onnx")
    told = onnx.load_from_string(rendered(line(), "onnx"))
    assert {each.key: each.value for each in told.metadata_props}["target"] == "y"
