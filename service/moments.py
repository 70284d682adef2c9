"""Times as a client writes them in a query: RFC 3339, with an offset."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

# A plus that was not escaped comes as a space.
_MOMENT = re.compile(
    r"(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?)(?:([Zz])|([+ -])(\d{2}:\d{2}))",
    re.ASCII,
)


def _read(text: Any) -> datetime:
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    try:
        if found is None:
            raise ValueError
        offset = "+00:00" if found[2] else ("-" if found[3] == "-" else "+") + found[4]
        return datetime.fromisoformat(found[1].upper() + offset)
    except ValueError:
        message = "must be a time with its offset, like 2026-11-26T12:00:00Z"
        raise PydanticCustomError("moment", message) from None


Moment: TypeAlias = Annotated[
    datetime, BeforeValidator(_read), WithJsonSchema({"type": "string", "format": "date-time"})
]
