"""Waiting for a condition, rather than for a time in which it should have come true."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
NAP_SECONDS = 0.01


def wait_until(condition: Callable[[], T], seconds: float = 20.0) -> T:
    """Return what the condition says once it is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(NAP_SECONDS)
    return value
