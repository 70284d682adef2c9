"""What a route may say of who asks: take the caller, or need the scope `admin`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from ridgeway.errors import Forbidden
from ridgeway.keys.caller import Caller, Scope


def require_scope(caller: Caller, needed: Scope) -> None:
    """Raise Forbidden, with the scope that is needed, where the caller's is too small."""
    if not caller.may(needed):
        raise Forbidden(
            f"This needs a key with the scope {needed}; the key {caller.prefix} has {caller.scope}."
        )


def caller_of(request: Request) -> Caller:
    """Return who asks."""
    return request.state.caller


async def admin_only(request: Request) -> None:
    """Refuse who has not the scope `admin`: Depends(admin_only)."""
    require_scope(request.state.caller, "admin")


InCaller: TypeAlias = Annotated[Caller, Depends(caller_of)]
