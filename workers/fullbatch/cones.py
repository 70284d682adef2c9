"""Norms of groups of weights on an interior point's way: Σ_g strength_g ‖w_g‖.

Each is a bound t on the norm, ‖w_g‖ ≤ t, beside a pull h with ‖h‖ ≤ strength that holds w_g back.
(t, w_g) and (strength, -h) lie in second-order cones, scaled as by Nesterov & Todd (1997): W times
the second is W's inverse times the first. How far either is from its edge, t² - ‖w_g‖², is kept as
a number of its own, as rounding would hide it near the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Pair:
    """A number of each group (groups,), and one of each of its columns (entries,)."""

    first: Floats
    rest: Floats


@dataclass(frozen=True)
class Turn:
    """A step: of bounds and weights, and of strengths and pulls; scaled, and as it is."""

    ahead: Pair
    back: Pair
    bounds: Floats
    weights: Floats
    pulls: Floats


class Cones:
    """Groups of columns, with strengths above 0; a column is in one group or in none."""

    def __init__(self, groups: Sequence[Places], strengths: Floats, columns: int) -> None:
        self._groups, self._strengths, self._columns = groups, strengths, columns
        self._entries = np.concatenate([np.zeros(0, np.intp), *groups])
        self._owner = np.repeat(np.arange(len(groups)), [len(own) for own in groups])
        self._pulls, self._weights = np.zeros((2, len(self._entries)))
        self._bounds = np.zeros(len(groups))
        self._edge, self._held = np.zeros(len(groups)), strengths**2

    def __len__(self) -> int:
        return len(self._groups)

    def begin(self, centre: float) -> None:
        """Start from zero weights, with products as large as the centre."""
        self._bounds = centre / self._strengths
        self._edge = self._bounds**2

    @property
    def pulls(self) -> Floats:
        """The pulls by column."""
        return self._by_column(self._pulls)

    def _by_column(self, values: Floats) -> Floats:
        return np.bincount(self._entries, values, self._columns).astype(np.float64)

    def _sums(self, values: Floats) -> Floats:
        return np.bincount(self._owner, values, len(self._groups)).astype(np.float64)

    def gap(self) -> float:
        """Return by how much bounds times strengths exceed what the pulls take, over all groups."""
        taken = self._sums(self._pulls * self._weights)
        return float((self._strengths * self._bounds - taken).sum())

    def gap_after(self, turn: Turn, lengths: tuple[float, float]) -> float:
        """Return the same after so much of a step, of the weights and of the pulls."""
        pulls = self._pulls + lengths[1] * turn.pulls
        taken = self._sums(pulls * (self._weights + lengths[0] * turn.weights))
        return float((self._strengths * (self._bounds + lengths[0] * turn.bounds) - taken).sum())

    # --- the scaling W ----------------------------------------------------------------------------

    def scale(self) -> None:
        """Find W where the path is."""
        own, held = np.sqrt(self._edge), np.sqrt(self._held)
        bound, strength = self._bounds / own, self._strengths / held
        left, right = self._weights / own[self._owner], self._pulls / held[self._owner]
        twice = np.sqrt(2 * (1 + self._inner(left, right)))
        self._first, self._rest = (bound + strength) / twice, (left + right) / twice[self._owner]
        self._size, self._long = own / held, 1 + 2 * self._sums(self._rest**2)
        self._scaled = self._times(Pair(self._strengths, -self._pulls))

    def _inner(self, left: Floats, right: Floats) -> Floats:
        """Return √(1 + ‖l‖²) √(1 + ‖r‖²) - l r, so that nothing of large ones cancels."""
        along, squares = self._sums(left * right), (self._sums(left**2), self._sums(right**2))
        whole = np.sqrt((1 + squares[0]) * (1 + squares[1]))
        share = along / np.where(squares[0] > 0, squares[0], 1)
        across = squares[0] * self._sums((right - share[self._owner] * left) ** 2)
        near = (1 + squares[0] + squares[1] + across) / np.where(along > 0, whole + along, 1)
        return np.where(along > 0, near, whole - along)

    def _times(self, own: Pair) -> Pair:
        """Return W times a pair."""
        along, size = self._sums(self._rest * own.rest), np.sqrt(self._size)
        by = own.first + along / (1 + self._first)
        rest = own.rest + by[self._owner] * self._rest
        return Pair(size * (self._first * own.first + along), size[self._owner] * rest)

    def _product(self, left: Pair, right: Pair) -> Pair:
        """Return Jordan's product of two pairs."""
        rest = left.first[self._owner] * right.rest + right.first[self._owner] * left.rest
        return Pair(left.first * right.first + self._sums(left.rest * right.rest), rest)

    def _over(self, product: Pair) -> Pair:
        """Return the pair whose product with the scaled one is this."""
        own = self._scaled
        along = self._sums(own.rest * product.rest)
        first = (own.first * product.first - along) / self._square(own)
        rest = (product.rest - first[self._owner] * own.rest) / own.first[self._owner]
        return Pair(first, rest)

    def _square(self, own: Pair) -> Floats:
        """Return the square of the first less that of the rest, (groups,)."""
        length = np.sqrt(self._sums(own.rest**2))
        return (own.first - length) * (own.first + length)

    # --- the equations ----------------------------------------------------------------------------

    def stiffness(self) -> list[tuple[Places, Floats]]:
        """Return each group's columns and the inverse of the weights' part of W², (size, size)."""
        rest = np.split(self._rest, np.cumsum([len(own) for own in self._groups]))
        parts = zip(self._groups, rest, self._long, self._size, strict=False)
        return [
            (own, (np.eye(len(own)) - np.outer(unit, unit) * (2 / long)) / size)
            for own, unit, long, size in parts
        ]

    def _stiff(self, values: Floats) -> Floats:
        """Return the same inverse times values by entry."""
        along = 2 * self._sums(self._rest * values) / self._long
        return (values - along[self._owner] * self._rest) / self._size[self._owner]

    def aims(self, centre: float, before: Turn | None = None) -> Pair:
        """Return what scaled steps add up to for products as large as the centre.

        before: a step that missed that by its parts' product.
        """
        square = self._product(self._scaled, self._scaled)
        first, rest = centre - square.first, -square.rest
        if before is not None:
            missed = self._product(before.ahead, before.back)
            first, rest = first - missed.first, rest - missed.rest
        return self._over(Pair(first, rest))

    def offset(self, aims: Pair) -> Floats:
        """Return what the way there adds to the equations, by column."""
        return self._by_column(self._stiff(self._times(aims).rest))

    def turn(self, directions: Floats, aims: Pair) -> Turn:
        """Return the step of which weights by column take these directions."""
        own, where = directions[self._entries], self._times(aims)
        pulls = self._stiff(own - where.rest)
        back = self._times(Pair(np.zeros_like(self._strengths), -pulls))
        ahead = Pair(aims.first - back.first, aims.rest - back.rest)
        return Turn(ahead, back, self._times(ahead).first, own, pulls)

    def room(self, turn: Turn) -> tuple[float, float]:
        """Return how many such steps lead to an edge, of the weights and of the pulls."""
        return self._to_edge(turn.ahead), self._to_edge(turn.back)

    def _to_edge(self, move: Pair) -> float:
        """Return how many such moves bring the first of the scaled pairs to the edge."""
        own = self._scaled
        square = self._square(move)
        half = own.first * move.first - self._sums(own.rest * move.rest)
        left = self._square(own)
        inner = half**2 - square * left
        # The first root r of square r² + 2 half r + left, written so that nothing cancels.
        lower = np.sqrt(np.maximum(inner, 0)) - half
        found = np.where((inner >= 0) & (lower > 0), left / np.where(lower > 0, lower, 1), math.inf)
        return float(found.min(initial=math.inf))

    def take(self, turn: Turn, lengths: tuple[float, float]) -> None:
        """Take so much of the step, of the weights and of the pulls."""
        own = self._scaled
        moved = [
            Pair(own.first + length * move.first, own.rest + length * move.rest)
            for length, move in zip(lengths, (turn.ahead, turn.back), strict=True)
        ]
        self._edge = self._size * self._square(moved[0])
        self._held = self._square(moved[1]) / self._size
        self._weights = self._weights + lengths[0] * turn.weights
        self._bounds = np.sqrt(self._edge + self._sums(self._weights**2))
        self._pulls = self._pulls + lengths[1] * turn.pulls
