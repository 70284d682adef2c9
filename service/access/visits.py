"""The request that is being answered, as the audit log tells it; whatever is called meanwhile.

The door sets it. Every change that `Writers` make for a request goes into the log by that, in the
change's own transaction: a route can't forget it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from sqlalchemy.engine import Connection
from starlette.types import Scope

from ridgeway.keys.audit import Visit, record
from ridgeway.keys.caller import Caller

visitor: ContextVar[tuple[Caller, Scope] | None] = ContextVar("visitor", default=None)


def visit_of(caller: Caller, scope: Scope) -> Visit:
    """Return how the log tells of a request: by its route, where it has found one."""
    path = getattr(scope.get("route"), "path_format", None) or scope["path"]
    client = scope.get("client")
    return Visit(caller, f"{scope['method']} {path}", client[0][:64] if client else None)


def current_visit() -> Visit | None:
    """Return the visit of the request that is being answered; None outside of any."""
    found = visitor.get()
    return None if found is None else visit_of(*found)


def record_change(transaction: Connection, result: Any) -> None:
    """Write down that the request has changed something: what its path names, or what it made."""
    found = visitor.get()
    if found is None:
        return
    caller, scope = found
    record(transaction, visit_of(caller, scope), object_of(scope) or getattr(result, "id", None))


def object_of(scope: Scope) -> str | None:
    """Return the id in the request's path, if it has one."""
    named = scope.get("path_params", {}).get("id")
    return None if named is None else str(named)
