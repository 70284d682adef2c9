"""Sessions of browsers: a random cookie that stands for a key for some time. Its hash is kept."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.tables import sessions
from ridgeway.keys.keys import SECRET_BYTES, hash_of

SECONDS = 12 * 3600.0  # a working day
MOST = 100  # sessions of a key; the oldest end for new ones


def begin_session(transaction: Connection, key_id: str) -> str:
    """Begin a session of the key; return what the cookie holds."""
    transaction.execute(sa.delete(sessions).where(sessions.c.expires_at <= now()))
    own = sessions.c.key_id == key_id
    newest = sa.select(sessions.c.hash).where(own).order_by(sessions.c.expires_at.desc())
    kept = transaction.execute(newest.limit(MOST - 1)).scalars().all()
    transaction.execute(sa.delete(sessions).where(own, sessions.c.hash.not_in(kept)))
    session = secrets.token_urlsafe(SECRET_BYTES)
    row = {"hash": hash_of(session), "key_id": key_id, "created_at": now()}
    transaction.execute(sa.insert(sessions).values({**row, "expires_at": now() + SECONDS}))
    return session


def end_session(transaction: Connection, session: str) -> None:
    """End a session; nothing happens where there is none."""
    transaction.execute(sa.delete(sessions).where(sessions.c.hash == hash_of(session)))


def live_sessions(transaction: Connection) -> dict[str, str]:
    """Return the ids of sessions' keys by the sessions' hashes; whether keys still hold is open."""
    query = sa.select(sessions.c.hash, sessions.c.key_id).where(sessions.c.expires_at > now())
    return {row.hash: row.key_id for row in transaction.execute(query)}
