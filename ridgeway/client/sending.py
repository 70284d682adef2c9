"""What a program gives a client as the JSON that is sent."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

import httpx

from ridgeway.errors import InvalidInput
from ridgeway.spec.wording import parse_spec

_ROWS = "must be a list of mappings, of a value by column; of a DataFrame: .to_dict('records')"


def post_once(
    call: Callable[..., httpx.Response], path: str, body: Mapping[str, Any], key: str | None
) -> httpx.Response:
    """Make a job by a client's call; without a `key` one is made up.

    With it a repeat after a lost reply makes no second job.
    """
    headers = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": "application/json"}
    return call("POST", path, retry=True, headers=headers, content=spec_body(body))


def spec_body(body: Mapping[str, Any]) -> bytes:
    """Write a spec as JSON; name what JSON can't say as the spec's own check would."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        if "dataset" in body:  # a path beside a job has none
            parse_spec(body)
        raise InvalidInput(f"The spec can't be written as JSON: {error}.") from None


def rows_body(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows to predict as JSON, NaN as null; InvalidInput for what JSON can't say."""
    given: Any = rows
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise InvalidInput.of("rows", None, f"{_ROWS}; met a {type(given).__name__}")
    for place, row in enumerate(cast("Sequence[Any]", given)):
        if not isinstance(row, Mapping):
            message = f"must be a mapping; met a {type(row).__name__}. The rows {_ROWS}"
            raise InvalidInput.of(f"rows.{place}", None, message)
    try:
        known = [{name: _plain(value) for name, value in row.items()} for row in rows]
        return json.dumps({"rows": known}, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The rows can't be written as JSON: {error}.") from None


def _plain(value: Any) -> Any:
    """Return numpy's scalars, decimals and what is like them as Python's, dates as texts.

    NaN is None.
    """
    own = value.item() if hasattr(value, "item") else value
    own = own.isoformat() if hasattr(own, "isoformat") else own
    own = float(own) if isinstance(own, Decimal) else own
    return None if isinstance(own, float) and math.isnan(own) else own


@contextmanager
def opened(source: Path | str | BinaryIO) -> Generator[BinaryIO]:
    """Open a file to be sent; a pipe is read to its end first, as what is sent tells its size.

    A file that is open already stays open. InvalidInput for one that can't be read.
    """
    with ExitStack() as stack:
        try:
            if isinstance(source, Path | str):
                source = stack.enter_context(Path(source).open("rb"))
            if not source.seekable():
                kept = stack.enter_context(TemporaryFile())
                copyfileobj(source, kept)
                kept.seek(0)
                source = cast("BinaryIO", kept)
        except OSError as error:
            told = str(source) if isinstance(source, Path | str) else getattr(source, "name", None)
            raise InvalidInput.of("path", told, error.strerror or str(error)) from None
        yield source
