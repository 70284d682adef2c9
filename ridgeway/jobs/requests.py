"""What a job's row keeps of the request that made it: whose it was, and how a repeat is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ridgeway.keys.caller import LOCAL, Caller


@dataclass(frozen=True)
class Request:
    """A request for a job.

    idempotency_key: the client's own, which tells nothing of another client's.
    checksum: sha256 of what was asked for, which a repeat has as well.
    """

    caller: Caller = LOCAL
    idempotency_key: str | None = None
    checksum: str | None = None

    @property
    def columns(self) -> dict[str, str | None]:
        """Return what the job's row keeps, by column."""
        return {
            "owner": self.caller.key,
            "idempotency_key": self.stored_key,
            "request_checksum": self.checksum,
        }

    @property
    def stored_key(self) -> str | None:
        """Return the idempotency key among those of all callers."""
        if self.idempotency_key is None or self.caller.key is None:
            return self.idempotency_key
        return hashlib.sha256(f"{self.caller.key} {self.idempotency_key}".encode()).hexdigest()
