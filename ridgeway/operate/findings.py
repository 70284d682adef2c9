"""What a check of `ridgeway doctor` finds, and what checks look at.

def check_something(place: Place) -> Finding:
    return ok("it is there") if ... else fail("it is not there", "Put it there.")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from ridgeway.database.engine import Database
from ridgeway.settings import Settings

Status: TypeAlias = Literal["ok", "warn", "fail"]

NOT_YET = "Start `ridgeway serve`, or name the database of yours in RIDGEWAY_DATABASE_URL."


class Finding(BaseModel):
    """What one check has found, and what to do where all is not well."""

    model_config = ConfigDict(frozen=True)

    check: str = ""
    status: Status
    sentence: str
    remedy: str | None = None


@dataclass(frozen=True)
class Place:
    """The installation that is looked at; a database that is yet to be made is None."""

    settings: Settings
    database: Database | None


def ok(sentence: str) -> Finding:
    """Find that all is well."""
    return Finding(status="ok", sentence=sentence)


def warn(sentence: str, remedy: str) -> Finding:
    """Find what works and should not stay so."""
    return Finding(status="warn", sentence=sentence, remedy=remedy)


def fail(sentence: str, remedy: str) -> Finding:
    """Find what keeps jobs from being done."""
    return Finding(status="fail", sentence=sentence, remedy=remedy)


def sized(count: float) -> str:
    """Write a number of bytes as a person does: `1.4 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
