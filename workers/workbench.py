"""What a worker keeps of a job from one population to the next."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from workers.datasets import Prepared
from workers.plans import Plan
from workers.population import own_generators
from workers.pruning import History
from workers.sampling import Mirror
from workers.training import Trainer


@dataclass
class Workbench:
    """A job's data, its study in memory, and its trainer once there is one.

    history: what the job's pruner compares. sized: how many members share a step is settled.
    """

    prepared: Prepared
    mirror: Mirror
    history: History
    device: torch.device
    sized: bool = False
    _trainer: Trainer | None = field(default=None, repr=False)
    _wanted: Plan = field(default_factory=Plan, repr=False)

    def trainer(self, plan: Plan) -> Trainer:
        """One that follows the plan as far as it can. JobUnrunnable as in train_population."""
        follows = self._trainer is not None and plan in (self._wanted, self._trainer.plan)
        if self._trainer is None or not follows:
            spec, prepared = self.prepared.spec, self.prepared
            with own_generators(self.device):
                self._trainer = Trainer(
                    spec, prepared.folds, prepared.outputs, spec.seed, self.device, plan=plan
                )
            self._wanted, self.sized = plan, False
        return self._trainer
