"""The hierarchical penalty of LassoNet."""

from __future__ import annotations

from workers.penalties.base import Penalty
from workers.penalties.components import Components


class Hierarchical(Penalty):
    """R = Σ_j ‖θ_j‖₂ with ‖W_j‖∞ ≤ M ‖θ_j‖₂ (Lemhadri, Ruan, Abraham & Tibshirani 2021).

    θ_j are the weights by which input j skips the layers of a net, W_j those by which it enters
    them: an input whose skip weights are zero is out altogether. Weights of later layers are free,
    so that what is zero at which λ depends on them: there is no critical strength in closed form.
    Of trained nets it takes far larger λ than Σ |w| does, as W pulls θ up M times: a probe takes it
    last. From zero an input doesn't come back under a large λ; so that it is a trained net that
    loses its inputs, a member comes down from a dense net, as LassoNet's do along its path.
    """

    name = "hierarchical"
    sparse = True
    hierarchical = True
    descends = True
    probe_priority = 0.5
    probe_scale = 100.0

    def components(self, strength: float, l1_ratio: float) -> Components:
        return Components(hierarchy=strength)
