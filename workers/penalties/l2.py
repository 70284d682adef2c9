"""Ridge."""

from __future__ import annotations

from workers.penalties.mixture import Mixture


class L2(Mixture):
    """R = Σ w², with the gradient 2w (Hoerl & Kennard 1970). No strength sets weights to zero.

    In a probe it comes last: w² ≤ |w| for |w| ≤ 1.
    """

    name = "l2"
    probe_priority = 1.0

    def l1_share(self, l1_ratio: float) -> float:
        return 0.0

    def least_squares(self, l1: float, l2: float, rows: float) -> dict[str, float]:
        """Return the arguments of Ridge."""
        return {"alpha": rows * l2}
