"""What the parts share: why one is absent, samples, and numbers short enough to be kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from sqlalchemy.exc import DBAPIError

from ridgeway.answers import View
from ridgeway.errors import LeaseLost, NotFound, Unreadable
from ridgeway.shown import Shown
from workers.data.seeds import derived_seed

log = logging.getLogger("ridgeway.worker")

# What ends the lease, whoever meets it (workers/loop/control.py).
CONTROL = (LeaseLost, NotFound, Unreadable, DBAPIError)


class Absent(Exception):
    """A part has nothing to show; the message is for the reader."""


def with_parts(shown: Shown, parts: Mapping[str, Callable[[], View]]) -> Shown:
    """Return it with these parts, each made by itself: what one raises is why it is absent."""
    found: dict[str, Any] = {}
    absent = dict(shown.absent)
    for name, make in parts.items():
        try:
            found[name] = _kept(make())
        except Absent as reason:
            absent[name] = str(reason)
        except CONTROL:
            raise
        except (Exception, SystemExit) as error:
            log.exception("the answer is without its %s", name)
            absent[name] = f"It failed: {type(error).__name__}."
    return shown.model_copy(update={**found, "absent": absent})


def _kept(part: View) -> View:
    """Return the part as it is read again; ValidationError where a number is not finite."""
    return type(part).model_validate_json(part.model_dump_json())


def sampled(rows: int, most: int, seed: int, purpose: str) -> np.ndarray:
    """Return positions of at most so many rows, in order; the same for the same seed."""
    if rows <= most:
        return np.arange(rows)
    draw = np.random.default_rng(derived_seed(seed, "shown", purpose))
    return np.sort(draw.choice(rows, most, replace=False))


def short(value: float) -> float:
    """Return the number to six significant digits, which is more than any picture shows."""
    return float(f"{value:.6g}")


def shorts(values: Iterable[float]) -> list[float]:
    """Return finite numbers to six significant digits."""
    return [short(value) for value in values]


def shorts_or_none(values: Iterable[float]) -> list[float | None]:
    """Return numbers to six significant digits, None for what is not finite."""
    return [short(value) if math.isfinite(value) else None for value in values]
