"""Who asks: a key with its scope and limits, or somebody whom no key tells from others."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, get_args

Scope: TypeAlias = Literal["read", "submit", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # each may do what those before it may


@dataclass(frozen=True)
class Limits:
    """What a key may have at a time; None for no limit."""

    open_jobs: int | None = None  # queued, running or paused
    trials: int | None = None  # in the budgets of its open jobs, together
    bytes: int | None = None  # of its data sets as they came in, together
    requests_per_minute: int | None = None  # to each process of the service

    @classmethod
    def names(cls) -> list[str]:
        """Return the limits' names, which are the columns' too."""
        return [field.name for field in fields(cls)]


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Caller:
    """Who asks for something. A key never appears in it: `prefix` is what the key begins with."""

    key: str | None  # the key's id, which is written down as the owner of what it makes
    prefix: str
    scope: Scope
    limits: Limits = NO_LIMITS
    name: str | None = None  # whose the key is, for people; not written down with what it makes

    @property
    def sees_all(self) -> bool:
        """Return True for who sees and changes what is another's, or nobody's."""
        return self.scope == "admin"

    def may(self, needed: Scope) -> bool:
        """Return True where the scope is large enough."""
        return SCOPES.index(self.scope) >= SCOPES.index(needed)


# Whoever is on this machine, or reaches a service that asks for no keys.
LOCAL = Caller(None, "local", "admin")
