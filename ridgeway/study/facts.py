"""Facts of a trial that the study keeps beside its value, in Optuna's user attributes.

Workers write facts of trials that they trained; views, the recommendation and the best trial of a
job read them. Any Optuna process may write user attributes under the same names, of any type: what
has not the fact's type is read as if it were not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast


@dataclass(frozen=True)
class TrialFacts:
    """Facts of a trial; None where one does not apply, or is not known.

    Of a trial that failed or was pruned only `epochs` is. `standard_error` is of the value, over
    the folds; a complete trial has none where it is not finite.
    """

    standard_error: float | None = None
    nonzero_weights: float | None = None  # mean over folds
    weights: int | None = None  # penalised weights of one model
    features: float | None = None  # source columns that a model uses, mean over folds
    epochs: int | None = None  # trained, whichever of them gives the value
    converged: bool | None = None
    residual: float | None = None  # of models at the optimum: what is left of the gradient
    separated_folds: int | None = None  # whose unpenalised optimum is infinite
    fold_values: list[float] | None = None
    fold_nonzero_weights: list[int] | None = None
    best_epoch: int | None = None  # of early stopping: the epoch that the value is of
    lambda_lr_updates: float | None = None  # λ times the learning rates of all steps: its pull
    settled: bool | None = None  # whether proximal steps had brought zeros to rest
    lambda_l2_effective: float | None = None  # of the l2 term with coupled weight decay
    note: str | None = None

    def attributes(self) -> dict[str, Any]:
        """Return the user attributes that say it: a key for each fact that is known.

        A complete trial has the key `standard_error` also where there is none.
        """
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value
            for name, value in known.items()
            if value is not None or (name == "standard_error" and self.nonzero_weights is not None)
        }

    @classmethod
    def read(cls, attributes: Mapping[str, Any]) -> TrialFacts:
        """Read the facts among a trial's user attributes."""
        return cls(**{name: read(attributes.get(name)) for name, read in _READERS.items()})


NO_FACTS = TrialFacts()


def text_of(value: Any) -> str | None:
    """Return an attribute's value if it is a text."""
    return value if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _list_of(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read_all(value: Any) -> list[Any] | None:
        items = cast("list[Any]", value) if isinstance(value, list) else []
        return items if items and all(read(item) is not None for item in items) else None

    return read_all


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "standard_error": _number,
    "nonzero_weights": _number,
    "weights": _whole,
    "features": _number,
    "epochs": _whole,
    "converged": _truth,
    "residual": _number,
    "separated_folds": _whole,
    "fold_values": _list_of(_number),
    "fold_nonzero_weights": _list_of(_whole),
    "best_epoch": _whole,
    "lambda_lr_updates": _number,
    "settled": _truth,
    "lambda_l2_effective": _number,
    "note": text_of,
}
