"""Every penalty by the name that the spec and the study have for it.

A penalty is one file beside this one with a class of its own, a line in this list, and its name
and row in ridgeway/spec/names.py:

    class Lasso(Penalty):
        name, sparse = "lasso", True

        def components(self, strength: float, l1_ratio: float) -> Components:
            return Components(l1=strength)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ridgeway.spec.names import PenaltyName
from workers.penalties.adaptive_l1 import AdaptiveL1
from workers.penalties.base import Penalty
from workers.penalties.components import Components
from workers.penalties.elastic_net import ElasticNet
from workers.penalties.group_lasso import GroupLasso
from workers.penalties.hierarchical import Hierarchical
from workers.penalties.l0_5 import L05
from workers.penalties.l1 import L1
from workers.penalties.l2 import L2
from workers.penalties.mcp import Mcp
from workers.penalties.none import NoPenalty
from workers.penalties.plugins import plugin_penalty
from workers.penalties.scad import Scad
from workers.penalties.sparse_group_lasso import SparseGroupLasso


class _Penalties(dict[PenaltyName, Penalty]):
    """Penalties by name; a plug-in's comes in when it is first asked for."""

    def __missing__(self, name: PenaltyName) -> Penalty:
        self[name] = plugin_penalty(name)
        return self[name]


PENALTIES: Mapping[PenaltyName, Penalty] = _Penalties(
    (penalty.name, penalty)
    for penalty in (
        NoPenalty(),
        L1(),
        L2(),
        ElasticNet(),
        GroupLasso(),
        SparseGroupLasso(),
        Mcp(),
        Scad(),
        L05(),
        AdaptiveL1(),
        Hierarchical(),
    )
)


def reachable(names: Iterable[PenaltyName]) -> Components:
    """Return components that are positive where a search over these penalties has them."""
    found = [PENALTIES[name].components(strength=1.0, l1_ratio=0.5) for name in names]
    convex = [own for own in found if not own.concave]
    return Components(
        l1=sum(own.l1 for own in convex),
        l2=sum(own.l2 for own in found),
        group=sum(own.group for own in found),
    )


def steps_last(names: Iterable[PenaltyName]) -> bool:
    """Tell whether a search over these penalties has one whose step comes last."""
    return any(PENALTIES[name].steps_last for name in names)
