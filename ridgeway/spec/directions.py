"""Directions of objectives: some are better the higher they are, and a loss the lower it is."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar


class Negatable(Protocol):
    """A number, or an array of numbers."""

    def __neg__(self) -> Any: ...


_Value = TypeVar("_Value", bound=Negatable)


def as_loss(value: _Value, maximise: bool) -> _Value:
    """Return values of an objective so that lower is better: negated where higher is."""
    return -value if maximise else value
