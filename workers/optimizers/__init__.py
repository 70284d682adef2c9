"""One step of SGD, Adam or AdamW for many models at once, with its proximal step.

To add an optimiser, write its class beside these and name it in OPTIMIZERS.
"""

from collections.abc import Mapping

from ridgeway.spec.spec import Optimizer as OptimizerName
from workers.optimizers.adam import Adam, AdamW
from workers.optimizers.base import Optimizer, Rates, Stepping, Uses
from workers.optimizers.sgd import Sgd

__all__ = ["OPTIMIZERS", "Adam", "AdamW", "Optimizer", "Rates", "Sgd", "Stepping", "Uses"]

OPTIMIZERS: Mapping[OptimizerName, type[Optimizer]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW}
