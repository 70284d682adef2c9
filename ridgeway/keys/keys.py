"""API keys: made, found, revoked. The key itself is shown once; a hash of it is kept.

    key = "rw_3f9a01bc_" + 43 characters that stand for 256 random bits

Eight hexadecimal digits tell keys apart, in lists and in the log; with them a key is looked up. The
rest is compared as SHA-256: 256 random bits can't be guessed, so no slower hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import now
from ridgeway.database.tables import api_keys, sessions
from ridgeway.errors import InvalidInput, NotFound
from ridgeway.keys.caller import NO_LIMITS, SCOPES, Caller, Limits, Scope

SECRET_BYTES = 32
MOST_NAME = 200
MOST_WEIGHT = 1000
_KEY = re.compile("rw_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
USED_SECONDS = 300.0  # `used_at` is written no more often than that


@dataclass(frozen=True)
class Wanted:
    """A key to be made: what it is called, what it may do, and for how many seconds."""

    name: str
    scope: Scope
    expires_in: float | None = None  # seconds
    limits: Limits = NO_LIMITS
    weight: int = 1  # of its share of the workers


def create_key(transaction: Connection, wanted: Wanted) -> tuple[str, str]:
    """Make a key; return its prefix, and the key itself, which nothing can tell again.

    InvalidInput for a name, a scope or a limit that can't be.
    """
    _check(wanted)
    prefix = secrets.token_hex(4)
    key = f"rw_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    transaction.execute(
        sa.insert(api_keys).values(
            id=str(uuid.uuid4()),
            prefix=prefix,
            hash=hash_of(key),
            name=wanted.name,
            scope=wanted.scope,
            created_at=now(),
            expires_at=None if wanted.expires_in is None else now() + wanted.expires_in,
            weight=wanted.weight,
            **asdict(wanted.limits),
        )
    )
    return prefix, key


def _check(wanted: Wanted) -> None:
    if not 1 <= len(wanted.name) <= MOST_NAME or not wanted.name.isprintable():
        raise InvalidInput.of("NAME", wanted.name, f"must be 1 to {MOST_NAME} printable characters")
    if wanted.scope not in SCOPES:
        raise InvalidInput.of("--scope", wanted.scope, f"accepted: {', '.join(SCOPES)}")
    if wanted.expires_in is not None and not 0 < wanted.expires_in <= 3.2e9:  # some 100 years
        raise InvalidInput.of("--expires", wanted.expires_in, "must be within 100 years")
    _check_weight(wanted.weight)


def _check_weight(weight: int) -> None:
    if not 1 <= weight <= MOST_WEIGHT:
        raise InvalidInput.of("--weight", weight, f"accepted: 1 to {MOST_WEIGHT}")


def weigh_key(transaction: Connection, prefix: str, weight: int) -> str:
    """Set what a key's share of the workers weighs from the next claim on; return its prefix.

    InvalidInput for a weight that can't be, NotFound where there is no such key.
    """
    _check_weight(weight)
    prefix = _known_part(prefix)
    weighed = sa.update(api_keys).where(api_keys.c.prefix == prefix).values(weight=weight)
    if not transaction.execute(weighed).rowcount:
        raise NotFound(f"There is no key {prefix!r}.")
    return prefix


def _known_part(prefix: str) -> str:
    """Return what a key is known by; of a whole key no more is looked at, or repeated."""
    return prefix.removeprefix("rw_")[:8]


def revoke_key(transaction: Connection, prefix: str) -> str:
    """End a key and its sessions, for good; return its prefix, or raise NotFound.

    What it made stays its own. A key that is revoked already stays so.
    """
    prefix = _known_part(prefix)
    this = api_keys.c.prefix == prefix
    found = transaction.execute(sa.select(api_keys.c.id).where(this)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"There is no key {prefix!r}.")
    transaction.execute(sa.delete(sessions).where(sessions.c.key_id == found))
    alive = api_keys.c.revoked_at.is_(None)
    transaction.execute(sa.update(api_keys).where(this, alive).values(revoked_at=now()))
    return prefix


def list_keys(transaction: Connection) -> Sequence[Row[tuple[object, ...]]]:
    """Return every key's row, old to new, without hashes, each with whether it is `usable`."""
    columns = [column for column in api_keys.columns if column.name != "hash"]
    usable = sa.case((_usable(), 1), else_=0).label("usable")
    query = sa.select(*columns, usable).order_by(api_keys.c.created_at, api_keys.c.id)
    return transaction.execute(query).all()


def any_usable(transaction: Connection) -> bool:
    """Return True if a key exists that is neither revoked nor out of date."""
    query = sa.select(api_keys.c.id).where(_usable()).limit(1)
    return transaction.execute(query).first() is not None


def note_use(transaction: Connection, key_id: str) -> None:
    """Write down that the key is in use, unless that was done within the last minutes."""
    long_ago = api_keys.c.used_at.is_(None) | (api_keys.c.used_at < now() - USED_SECONDS)
    this = api_keys.c.id == key_id
    transaction.execute(sa.update(api_keys).where(this, long_ago).values(used_at=now()))


@dataclass(frozen=True)
class KnownKey:
    """A usable key as it is compared with what a client sends."""

    caller: Caller
    hash: str

    def fits(self, key: str) -> bool:
        """Compare a whole key, in a time that tells nothing of where it differs."""
        return hmac.compare_digest(self.hash, hash_of(key))


def usable_keys(transaction: Connection) -> dict[str, KnownKey]:
    """Return every key that is neither revoked nor out of date, by prefix."""
    rows = transaction.execute(sa.select(api_keys).where(_usable())).all()
    return {row.prefix: KnownKey(_caller(row), row.hash) for row in rows}


def prefix_of(key: str) -> str | None:
    """Return what a key is looked up by; None for what has not the form of a key."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def hash_of(secret: str) -> str:
    """Return what is kept of a key or of a session."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _caller(row: Row[tuple[object, ...]]) -> Caller:
    limits = Limits(**{name: getattr(row, name) for name in Limits.names()})
    return Caller(row.id, row.prefix, row.scope, limits, row.name)


def _usable() -> sa.ColumnElement[bool]:
    lasting = api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > now())
    return api_keys.c.revoked_at.is_(None) & lasting
