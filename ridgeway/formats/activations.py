"""The activations of nets in ONNX, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ridgeway.formats.graph import Graph

# erf x / x in x², |x| <= 1, and (1 - erf x) exp x² in x, 1 <= x <= 8, as quotients of polynomials,
# the highest power first. Source: Moshier, Cephes Mathematical Library (1989), ndtr.c.
_NEAR = (
    (
        9.60497373987051638749,
        9.00260197203842689217e1,
        2.23200534594684319226e3,
        7.00332514112805075473e3,
        5.55923013010394962768e4,
    ),
    (
        1.0,
        3.35617141647503099647e1,
        5.21357949780152679795e2,
        4.59432382970980127987e3,
        2.26290000613890934246e4,
        4.92673942608635921086e4,
    ),
)
_FAR = (
    (
        2.46196981473530512524e-10,
        5.64189564831068821977e-1,
        7.46321056442269912687,
        4.86371970985681366614e1,
        1.96520832956077098242e2,
        5.26445194995477358631e2,
        9.34528527171957607540e2,
        1.02755188689515710272e3,
        5.57535335369399327526e2,
    ),
    (
        1.0,
        1.32281951154744992508e1,
        8.67072140885989742329e1,
        3.54937778887819891062e2,
        9.75708501743205489753e2,
        1.82390916687909736289e3,
        2.24633760818710981792e3,
        1.65666309194161350182e3,
        5.57535340817727675546e2,
    ),
)
_ONE = 6.0  # beyond it erf is 1 in double precision


def erf(graph: Graph, x: str) -> str:
    """Add erf x, to 1e-15: runtimes have it in single precision alone."""
    x = graph.node("Clip", x, graph.constant(-_ONE), graph.constant(_ONE))
    square, size = graph.node("Mul", x, x), graph.node("Abs", x)
    near = graph.node("Mul", x, _quotient(graph, square, _NEAR))
    tail = graph.node("Exp", graph.node("Neg", square))
    tail = graph.node("Mul", tail, _quotient(graph, size, _FAR))
    far = graph.node("Mul", graph.node("Sign", x), graph.node("Sub", graph.constant(1.0), tail))
    return graph.node("Where", graph.node("Less", size, graph.constant(1.0)), near, far)


def _quotient(graph: Graph, x: str, terms: tuple[Sequence[float], Sequence[float]]) -> str:
    above, below = (_polynomial(graph, x, own) for own in terms)
    return graph.node("Div", above, below)


def _polynomial(graph: Graph, x: str, terms: Sequence[float]) -> str:
    """Add Horner's scheme, the highest power first."""
    value = graph.constant(terms[0])
    for term in terms[1:]:
        value = graph.node("Add", graph.node("Mul", value, x), graph.constant(term))
    return value


def _gelu(graph: Graph, x: str) -> str:
    """Add x Φ(x) (Hendrycks & Gimpel 2016)."""
    scaled = erf(graph, graph.node("Div", x, graph.constant(math.sqrt(2.0))))
    half = graph.node("Mul", x, graph.constant(0.5))
    return graph.node("Mul", half, graph.node("Add", scaled, graph.constant(1.0)))


ACTIVATIONS: Mapping[str, Callable[[Graph, str], str]] = {
    "relu": lambda graph, x: graph.node("Relu", x),
    "gelu": _gelu,
    "tanh": lambda graph, x: graph.node("Tanh", x),
    "silu": lambda graph, x: graph.node("Mul", x, graph.node("Sigmoid", x)),
}
