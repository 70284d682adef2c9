"""The URL of a database: read, checked, and in the form that SQLAlchemy takes.

PostgreSQL's may name several servers, as libpq writes them: a primary and its replicas.

    postgresql://USER@db1:5432,db2:5432/NAME
"""

from __future__ import annotations

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ridgeway.errors import InvalidInput

PRIMARY = "read-write"  # of a session: a standby that was not promoted is passed over
ACCEPTED = "must be sqlite:///FILE or postgresql://USER@HOST/NAME"
_WRITES = (PRIMARY, "primary")
_POSTGRESQL = r"(?P<scheme>postgres(?:ql)?(?:\+\w+)?)://(?P<user>[^/?#]*@)?"
_SERVERS = re.compile(_POSTGRESQL + r"(?P<servers>[^@/?#]*,[^@/?#]*)(?P<rest>[/?].*)?")
_SERVER = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>\d*))?")


def checked_url(url: str) -> URL:
    """Return the URL of a database that Ridgeway can use; InvalidInput where it can't."""
    try:
        parsed = parsed_url(url)
    except (ArgumentError, ValueError):
        # The URL itself may hold a password: it is never repeated.
        message = f"is no database URL; it {ACCEPTED}"
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, message) from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return _writing(parsed.set(drivername="postgresql+psycopg"))
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise InvalidInput.of("RIDGEWAY_DATABASE_URL", backend, ACCEPTED)


def servers(url: URL) -> tuple[str, str]:
    """Return PostgreSQL's hosts and ports as libpq takes them, comma between; "" for its own."""
    given = url.query.get("host", url.host or "")
    hosts = (given,) if isinstance(given, str) else given
    ports = url.query.get("port", str(url.port or ""))
    ports = ports if isinstance(ports, str) else ",".join(ports)
    # SQLAlchemy's host=HOST:PORT&host=...
    if any(re.fullmatch(r"[^:]+:\d*", each) for each in hosts):
        ports = ",".join(each.partition(":")[2] for each in hosts)
        hosts = tuple(each.partition(":")[0] for each in hosts)
    return ",".join(hosts), ports


def parsed_url(url: str) -> URL:
    """Read a URL; ValueError or ArgumentError where it is none.

    Several servers, which SQLAlchemy can't read, become parts of the query.
    """
    several = _SERVERS.fullmatch(url.strip())
    if several is None:
        return make_url(url)
    found = [_SERVER.fullmatch(each) for each in several["servers"].split(",")]
    named = [each for each in found if each is not None]
    if len(named) < len(found):
        raise ValueError("a server without a name")
    parsed = make_url(f"{several['scheme']}://{several['user'] or ''}{several['rest'] or ''}")
    hosts = ",".join(each["host"].strip("[]") for each in named)
    ports = ",".join(each["port"] or "" for each in named)
    told = {"host": hosts} | ({"port": ports} if ports.strip(",") else {})
    return parsed.update_query_dict(told)


def _writing(url: URL) -> URL:
    """Ask each server whether it takes writes, where there are several; refuse to want less."""
    wanted = url.query.get("target_session_attrs")
    if wanted is not None and wanted not in _WRITES:
        message = f"target_session_attrs must be one of {', '.join(_WRITES)}: jobs are written"
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, message)
    if wanted is None and "," in servers(url)[0]:
        return url.update_query_dict({"target_session_attrs": PRIMARY})
    return url
