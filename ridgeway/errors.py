"""Everything that Ridgeway raises on purpose. No HTTP in here.

RidgewayError
├── InvalidInput        a client's spec, file or query can't be accepted
├── NotFound            no such job, trial or data set
├── Conflict            the state of the thing forbids the call
│   └── Unreadable      another release wrote it, in a way that this one does not know
├── Forbidden           the key that was sent, or none, does not allow the call
│   └── LimitReached    the key has as much of it as it may have
├── LeaseLost           another worker holds the population now
├── StoreAway           the store does not answer, has no room, or lets nobody in
│   ├── StoreDamaged    it holds other bytes under a key than were written
│   └── StoreRefuses    it answers, but can't read what is under one key
├── JobUnrunnable       a job can't be trained, whatever the trial
├── SchemaMismatch      the database's tables are not this release's
└── client side (ridgeway.client)
    ├── Unreachable     no service answers
    │   └── NothingThere  nor anything else
    └── JobFailed       the job that was waited for has failed
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # of an OSError: this machine's disk is full


class RidgewayError(Exception):
    """Something went wrong in Ridgeway."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


@dataclass(frozen=True)
class FieldError:
    """One bad field: its dotted path, the value met, and what would be accepted."""

    field: str
    value: Any
    message: str


class InvalidInput(RidgewayError):
    """The input can't be accepted."""

    def __init__(self, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)

    @classmethod
    def of(cls, field: str, value: Any, message: str) -> InvalidInput:
        """Return the error for one field."""
        return cls(f"{field}: {message}", [FieldError(field, value, message)])


def refuse(errors: Sequence[FieldError]) -> None:
    """Raise InvalidInput with these bad fields, if there are any."""
    if errors:
        raise InvalidInput("; ".join(f"{e.field}: {e.message}" for e in errors), errors)


class NotFound(RidgewayError):
    """There is nothing with this name."""


class Conflict(RidgewayError):
    """The state it is in forbids that."""


class Unreadable(Conflict):
    """Another release wrote it, in a way that this one does not know."""


class Forbidden(RidgewayError):
    """The key does not allow that."""


class LimitReached(Forbidden):
    """The key has as much of it as it may have."""


class LeaseLost(RidgewayError):
    """Another worker holds this population now; discard what was computed for it."""


class StoreAway(RidgewayError, OSError):
    """The store of data sets and models does not answer, or has no room.

    key: asked for. reading: whether it was to be read.
    """

    def __init__(
        self, message: str | None = None, key: str = "probe", *, reading: bool = False
    ) -> None:
        super().__init__(message)
        self.key, self.reading = key, reading


class StoreDamaged(StoreAway):
    """The store holds other bytes under a key than were written: cut short, or changed."""

    @classmethod
    def of(cls, key: str) -> Self:
        """Return the error of a key."""
        told = "its bytes are not those that were written"
        return cls(f"The store's '{key}' is damaged: {told}; restore it from a backup.", key)


class StoreRefuses(StoreAway):
    """The store answers, but can't read what is under this key."""


class JobUnrunnable(RidgewayError):
    """The job can't be trained, whatever the trial."""


class SchemaMismatch(RidgewayError):
    """The database's tables are not those of this release."""


class Unreachable(RidgewayError):
    """No Ridgeway service answers there."""


class NothingThere(Unreachable):
    """Nothing listens at the address, or its answer does not come."""


class JobFailed(RidgewayError):
    """The job has failed."""
