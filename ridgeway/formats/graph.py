"""An ONNX graph as it grows: nodes, constants, and names that clash with no column's."""
# pyright: reportUnknownMemberType=false
# onnx's arguments are typed in part.

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8  # what runtimes of 2022 and later read
KINDS = {"number": TensorProto.DOUBLE, "category": TensorProto.STRING}


class Graph:
    """A graph whose inputs are these columns, (rows, 1) each: doubles or strings by their kind."""

    def __init__(self, columns: Sequence[tuple[str, str]]) -> None:
        self._inputs = [_tensor(name, KINDS[kind], ["rows", 1]) for name, kind in columns]
        self._taken = {name for name, _ in columns}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._outputs: list[ValueInfoProto] = []

    def constant(self, values: npt.ArrayLike, kind: Any = np.float64) -> str:
        """Add a constant tensor; of doubles that single precision holds exactly half the bytes."""
        array = np.asarray(values, kind)
        name = self._fresh("constant")
        single = array.astype(np.float32) if array.dtype == np.float64 else array
        halved = array.size > 1 and array.dtype == np.float64 and bool((single == array).all())
        self._constants.append(numpy_helper.from_array(single if halved else array, name))
        return self.node("Cast", name, to=TensorProto.DOUBLE) if halved else name

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operation; return the name of what it gives."""
        name = self._fresh(kind)
        made = helper.make_node(kind, inputs, [name], name, domain=domain, **attributes)
        self._nodes.append(made)
        return name

    def output(self, name: str, value: str, kind: int, shape: Sequence[str | int]) -> None:
        """Give a value out; a name that a column has gets underscores until it is its own."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._nodes.append(helper.make_node("Identity", [value], [name], self._fresh("output")))
        self._outputs.append(_tensor(name, kind, shape))

    def written(self, doc: str, words: dict[str, str]) -> bytes:
        """Return the model's file, with a line on it and metadata."""
        graph = helper.make_graph(
            self._nodes, "model", self._inputs, self._outputs, self._constants
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        made = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ridgeway"
        )
        made.doc_string = doc
        helper.set_model_props(made, words)
        return made.SerializeToString(deterministic=True)

    def _fresh(self, kind: str) -> str:
        """Return a name that nothing has."""
        name = next(
            name
            for count in itertools.count(len(self._taken))
            if (name := f"{kind}_{count}") not in self._taken
        )
        self._taken.add(name)
        return name


def _tensor(name: str, kind: int, shape: Sequence[str | int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
