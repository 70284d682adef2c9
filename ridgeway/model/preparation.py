"""Columns made a model's inputs, as those of its training rows were (workers/data/encoding.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ridgeway.model.file import Description

Floats: TypeAlias = npt.NDArray[np.float64]
# By name: numbers float64 (rows,), NaN where missing; texts (rows,) of str, None where missing.
Columns: TypeAlias = Mapping[str, npt.NDArray[Any]]

LARGEST = 1e30  # an outlier of a column that was constant in training stays finite


@dataclass(frozen=True)
class Preparation:
    """Where each column goes: the places of its number, of its gaps and of its levels."""

    numbers: Mapping[str, int]
    fills: Mapping[str, float]
    gaps: Mapping[str, int]
    levels: Mapping[str, Mapping[str, int]]
    means: Floats
    scales: Floats

    @classmethod
    def of(cls, description: Description) -> Preparation:
        """Read it from a file's inputs.

        A missing number is filled with the median of the training rows; by the first files, which
        don't tell that of a column that missed none, with their mean.
        """
        numbers: dict[str, int] = {}
        gaps: dict[str, int] = {}
        levels: dict[str, dict[str, int]] = {}
        fills = {c.name: c.fill for c in description.columns if c.fill is not None}
        for place, each in enumerate(description.inputs):
            if not each.indicator:
                numbers[each.source] = place
                fills.setdefault(each.source, each.mean if each.fill is None else each.fill)
            elif each.level is None:
                gaps[each.source] = place
            else:
                levels.setdefault(each.source, {})[each.level] = place
        for places in levels.values():
            for text in ("True", "TRUE", "False", "FALSE"):  # pandas reads them as booleans
                if text in places:
                    places.setdefault(text.lower(), places[text])
        means = np.array([each.mean for each in description.inputs])
        scales = np.array([each.scale for each in description.inputs])
        return cls(numbers, fills, gaps, levels, means, scales)

    def inputs(self, columns: Columns, rows: slice) -> Floats:
        """Return these rows as inputs (n, d), standardised.

        A level that no training row had is in none of its category's inputs.
        """
        count = len(next(iter(columns.values()))[rows])
        x = np.zeros((count, len(self.means)))
        for name, place in self.numbers.items():
            values = columns[name][rows]
            x[:, place] = np.where(np.isnan(values), self.fills[name], values)
        for name, place in self.gaps.items():
            values = columns[name][rows]
            x[:, place] = np.isnan(values) if name in self.numbers else _is_none(values)
        for name, places in self.levels.items():
            values = columns[name][rows]
            found = np.array([places.get(value, -1) for value in values.tolist()], np.int64)
            known = np.flatnonzero(found >= 0)
            x[known, found[known]] = 1.0
        return np.clip((x - self.means) / self.scales, -LARGEST, LARGEST)


def _is_none(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.array([value is None for value in values.tolist()], dtype=bool)
