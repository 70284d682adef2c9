"""The parts put together: those that train before the seal is opened, and then the sealed one."""

from __future__ import annotations

from functools import partial

from ridgeway.answers import Choice
from ridgeway.shown import Shown
from workers.answer.evidence import Evidence
from workers.answer.refits import Refits
from workers.answer.sealed import SealedTest
from workers.answer.shown.flicker import flicker
from workers.answer.shown.learning import learning
from workers.answer.shown.parts import with_parts
from workers.answer.shown.sealed import sealed_curves
from workers.answer.shown.weights import weights
from workers.answer.training import Training
from workers.data.prepare import Prepared


def trained_parts(
    evidence: Evidence, refits: Refits, prepared: Prepared, training: Training
) -> Shown:
    """Return what is shown of development rows."""
    return with_parts(
        Shown(),
        {
            "learning": partial(learning, evidence, prepared, training),
            "weights": partial(weights, evidence, refits, prepared),
            "flicker": partial(flicker, prepared),
        },
    )


def with_sealed(
    shown: Shown, sealed: SealedTest, role: str, choice: Choice, classes: tuple[str, ...]
) -> Shown:
    """Return it with the sealed rows, as the model of a role among the sealed scores sees them."""
    return with_parts(shown, {"sealed": partial(sealed_curves, sealed, role, choice, classes)})
