"""A study's trials as growing columns, one row a trial number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.trial import TrialState

from ridgeway.spec.directions import as_loss
from ridgeway.study.distributions import read_distribution
from workers.sampling.axes import Floats, Indices
from workers.sampling.tpe import COMPLETE, FAILED, PENDING, History

UNKNOWN = -1  # tier of numbers that nobody has told of, and of trials that only wait
NONE = -1  # kind of a parameter that a trial has not
FIRST_ROOM = 256


class TrialTable:
    """Parameters, values and states in some 100 bytes a trial; one that runs may be put again."""

    def __init__(self) -> None:
        self.size = 0
        self._tiers = np.full(FIRST_ROOM, UNKNOWN, dtype=np.int64)
        self._values = np.full(FIRST_ROOM, math.nan)
        self._params: dict[str, Floats] = {}
        self._kinds: dict[str, NDArray[np.int32]] = {}
        self._texts: dict[str, int] = {}  # every distribution met, as JSON, and its kind

    def put(
        self,
        number: int,
        state: TrialState,
        value: float | None,
        last_step: int,
        params: Iterable[tuple[str, float, str]],
    ) -> None:
        """Enter a trial; params are (name, internal representation, distribution as JSON)."""
        self._reach(number + 1)
        self._tiers[number] = _tier(state, value, last_step)
        self._values[number] = math.nan if value is None else value
        for name, internal, text in params:
            if name not in self._params:
                self._params[name] = np.full(len(self._tiers), math.nan)
                self._kinds[name] = np.full(len(self._tiers), NONE, dtype=np.int32)
            self._params[name][number] = internal
            self._kinds[name][number] = self._texts.setdefault(text, len(self._texts))

    def params(self, number: int) -> dict[str, float | str]:
        """Return a trial's configuration."""
        distributions = list(self._texts)
        found = {}
        for name, kinds in self._kinds.items():
            if kinds[number] != NONE:
                distribution = read_distribution(distributions[kinds[number]])
                found[name] = distribution.to_external_repr(float(self._params[name][number]))
        return found

    def results(self, numbers: Indices) -> tuple[Indices, Floats, Indices]:
        """Return tier, value (NaN without one) and index of the penalty of each trial (n,)."""
        missing = np.full(len(self._tiers), math.nan)
        penalties = self._params.get("penalty", missing)[numbers]
        indices = np.nan_to_num(penalties).astype(np.intp)
        return self._tiers[numbers], self._values[numbers], indices

    def known(self) -> Indices:
        """Return the numbers of the trials that can teach something."""
        return np.flatnonzero(self._tiers[: self.size] != UNKNOWN)

    def comparable(self, space: Mapping[str, BaseDistribution]) -> Indices:
        """Return the known trials but for foreign ones with a parameter that the space has not."""
        fits = self._tiers[: self.size] != UNKNOWN
        for name, kinds in self._kinds.items():
            fits &= self._compatible(space.get(name))[kinds[: self.size]] | (
                kinds[: self.size] == NONE
            )
        return np.flatnonzero(fits)

    def history(
        self, space: Mapping[str, BaseDistribution], numbers: Indices, maximise: bool
    ) -> History:
        """Return what these trials teach; failures teach only beside a trial that did not fail."""
        tiers = self._tiers[numbers]
        if not np.any(tiers < FAILED):
            numbers = numbers[tiers == PENDING]
            tiers = self._tiers[numbers]
        columns = {
            name: np.where(
                self._compatible(distribution)[self._kinds[name][numbers]],
                self._params[name][numbers],
                math.nan,
            )
            for name, distribution in space.items()
            if name in self._params
        }
        values = np.nan_to_num(self._values[numbers])
        return History(columns, tiers, as_loss(values, maximise))

    def _compatible(self, distribution: BaseDistribution | None) -> NDArray[np.bool_]:
        """Return which kinds (kinds + 1,) can be this parameter's; NONE, the last, can't."""
        fits = [
            distribution is not None and _compatible(distribution, text) for text in self._texts
        ]
        return np.array([*fits, False])

    def _reach(self, size: int) -> None:
        self.size = max(self.size, size)
        room = len(self._tiers)
        if size <= room:
            return
        more = max(room, size - room)
        self._tiers = np.append(self._tiers, np.full(more, UNKNOWN))
        self._values = np.append(self._values, np.full(more, math.nan))
        for name in self._params:
            self._params[name] = np.append(self._params[name], np.full(more, math.nan))
            self._kinds[name] = np.append(self._kinds[name], np.full(more, NONE, dtype=np.int32))


def _tier(state: TrialState, value: float | None, last_step: int) -> int:
    """Return how early a trial ranks, by Optuna's TPE: complete, then pruned, the longest first.

    What failed, or has no finite value, comes last; TPE itself learns nothing of it.
    """
    if state == TrialState.RUNNING:
        return PENDING
    if state == TrialState.WAITING:
        return UNKNOWN
    if state == TrialState.FAIL or value is None or not math.isfinite(value):
        return FAILED
    return COMPLETE if state == TrialState.COMPLETE else FAILED - 1 - max(0, last_step)


def _compatible(distribution: BaseDistribution, text: str) -> bool:
    try:
        check_distribution_compatibility(distribution, read_distribution(text))
    except ValueError:
        return False
    return True
