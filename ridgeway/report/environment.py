"""Where templates come from: pages, in which every value is escaped, and code, of literals."""

from __future__ import annotations

import pprint
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ridgeway.words import number

FOLDER = Path(__file__).with_name("templates")


def literal(value: Any) -> str:
    """Write a value as Python does: whatever text is in it, it is never more than a literal."""
    return pprint.pformat(value, width=96, compact=True, sort_dicts=False)


def with_code(text: str) -> Markup:
    """Set what stands between backticks as code; all of it is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one has no partner
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )


def _environment(filters: Mapping[str, Callable[[Any], str]], *, escaping: bool) -> Environment:
    made = Environment(  # nosec B701 # without it for code alone
        loader=FileSystemLoader(FOLDER),
        autoescape=escaping,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(filters)  # pyright: ignore[reportUnknownMemberType] - jinja's own dict
    return made


PAGES = _environment({"number": number, "code": with_code}, escaping=True)
CODE = _environment({"py": literal}, escaping=False)
