"""Keys for tests, and the routes that ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ridgeway.database.engine import Database
from ridgeway.keys.caller import Caller, Limits, Scope
from ridgeway.keys.keys import Wanted, create_key, prefix_of, usable_keys


def make_key(
    database: Database, scope: Scope = "submit", expires_in: float | None = None, **limits: int
) -> str:
    """A new key."""
    wanted = Wanted(f"a {scope} key", scope, expires_in, Limits(**limits))
    with database.transaction() as transaction:
        return create_key(transaction, wanted)[1]


def caller_of(database: Database, key: str) -> Caller:
    """Whose key it is."""
    with database.reading() as transaction:
        return usable_keys(transaction)[str(prefix_of(key))].caller


def bearer(key: str) -> dict[str, Any]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """Every method and path that the application answers, from its own list."""
    for route in app.routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from routes(included)
        else:
            yield from ((method, route.path) for method in route.methods or ())


def filled(path: str, **given: str) -> str:
    """A path with something in the place of its parameters, or with what is given."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: given.get(found[1], "1"), path)
