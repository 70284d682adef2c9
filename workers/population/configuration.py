"""One trial's hyperparameters, as its training uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from ridgeway.spec.models import MlpModel
from ridgeway.spec.names import PenaltyName
from ridgeway.spec.spec import JobSpec


@dataclass(frozen=True)
class Configuration:
    """The hyperparameters of a member: its trial's parameters and its job's fixed options.

    Fields are 0 where the penalty, the optimiser or the job has no such thing.
    """

    penalty: PenaltyName
    strength: float
    l1_ratio: float
    learning_rate: float
    weight_decay: float
    dropout: float = 0.0
    label_smoothing: float = 0.0
    input_noise: float = 0.0

    @classmethod
    def from_params(cls, spec: JobSpec, params: Mapping[str, float | str]) -> Configuration:
        """Read a trial's parameters as the study has them; the job's options where it has none."""
        dropout = spec.model.dropout if isinstance(spec.model, MlpModel) else 0.0
        return cls(
            penalty=cast("PenaltyName", params["penalty"]),
            strength=float(params.get("lambda", 0.0)),
            l1_ratio=float(params.get("l1_ratio", 0.0)),
            learning_rate=float(params.get("learning_rate", 0.0)),
            weight_decay=float(params.get("weight_decay", 0.0)),
            dropout=float(params.get("dropout", dropout)),
            label_smoothing=float(params.get("label_smoothing", spec.label_smoothing)),
            input_noise=float(params.get("input_noise", spec.input_noise)),
        )
