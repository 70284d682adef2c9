"""What a model's file says of it: the metadata of docs/model-file.md, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ridgeway.errors import InvalidInput, Unreadable
from ridgeway.texts.dates import DATE_KINDS, DateKind
from ridgeway.texts.numbers import NumberFormat

ColumnKind: TypeAlias = Literal["number", "category"] | DateKind
Label: TypeAlias = int | str

# What reading a damaged file, or building what it tells of, may raise.
DAMAGE = (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError)

FORMAT = "1"  # what is written; files of the first models say none, and are read as well
SKIP_FORMAT = "2"  # of a net with a skip layer, which releases that know 1 alone would leave out
DATE_FORMAT = "3"  # of a model that takes dates, which earlier releases know nothing of
FORMATS = (FORMAT, SKIP_FORMAT, DATE_FORMAT)
KINDS = ("number", "category", *DATE_KINDS)
LINKS = ("identity", "log", "logit", "softmax")


@dataclass(frozen=True)
class Column:
    """A column of the table that a model takes; `fill` stands for its missing numbers or days.

    format: how texts of it are read as numbers; of a category whose values are numbers, too.
    """

    name: str
    kind: ColumnKind
    fill: float | None = None
    format: NumberFormat | None = None

    @property
    def is_date(self) -> bool:
        """Return whether its values are dates, which are made days since 1970-01-01."""
        return self.kind in DATE_KINDS


@dataclass(frozen=True)
class Input:
    """One encoded column: (x - mean) / scale of what x is.

    x is the source's number, `fill` where that is missing; or, of an indicator, 1 in rows that
    hold the `level` (None: in rows where the source is missing) and else 0.
    """

    name: str
    source: str
    mean: float
    scale: float
    indicator: bool
    level: str | None
    fill: float | None


@dataclass(frozen=True)
class Description:
    """What a file says of its model. classes: () for a regression."""

    kind: str  # linear, mlp, or a plug-in's name
    options: Mapping[str, Any]  # of the kind
    task: str
    outputs: int
    link: str
    classes: tuple[Label, ...]
    columns: tuple[Column, ...]  # in the order of the table that the job was given
    inputs: tuple[Input, ...]
    target: str
    target_mean: float
    target_scale: float
    role: str | None
    settings: Mapping[str, float | str]  # of the trial: penalty, lambda, ...; {} for the constant


def describe(data: bytes) -> Description:
    """Read the metadata of a model's file.

    InvalidInput where it is no model of ours, Unreadable where another release wrote it, or where
    it is damaged.
    """
    words = _metadata(data)
    written = words.get("format", FORMAT)
    if written not in FORMATS:
        raise Unreadable(
            f"The model's file has the format {written!r}, and this release reads up to "
            f"{FORMATS[-1]!r}: a newer release of Ridgeway wrote it."
        )
    try:
        found = _description(words)
        _check(found)
    except DAMAGE as error:
        raise damaged(error) from None
    if found.link not in LINKS:
        accepted = ", ".join(LINKS)
        raise Unreadable(f"The model's link is {found.link!r}; this release knows {accepted}.")
    return found


def damaged(error: Exception) -> Unreadable:
    """Return what says that the file holds what it should not; `error` is what reading it met."""
    reason = f"{type(error).__name__}: {error}"[:300]
    return Unreadable(f"The model's file is not as it should be ({reason}).")


def _check(told: Description) -> None:
    """Raise ValueError where the inputs don't come from the columns, or the classes don't fit."""
    kinds = {column.name: column.kind for column in told.columns}
    if not kinds or not set(kinds.values()) <= set(KINDS):
        raise ValueError(f"columns of the kinds {sorted(set(kinds.values()))}")
    for each in told.inputs:
        if kinds[each.source] == "category" and not each.indicator:
            raise ValueError(f"{each.source!r} is no column of numbers")
    if told.classes and len(told.classes) != max(told.outputs, 2):
        raise ValueError(f"{len(told.classes)} classes by {told.outputs} outputs")


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file: its library reads them from paths alone.

    Eight bytes with the header's length, and the header, a JSON object.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        words: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
        if "inputs" in words and "spec" in words:
            return words
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        pass
    message = "is no model of a job; accepted: what GET /v1/jobs/{id}/model gives (safetensors)"
    raise InvalidInput.of("model", None, message)


def _description(words: Mapping[str, str]) -> Description:
    spec: dict[str, Any] = json.loads(words["spec"])
    options: dict[str, Any] = dict(spec["model"])
    kind = str(options.pop("kind"))
    inputs = tuple(_input(each) for each in json.loads(words["inputs"]))
    target: dict[str, Any] = json.loads(words.get("target", "{}"))
    labels: list[str] = json.loads(words["classes"])
    numbers = target.get("kind") == "number"
    outputs = int(words["outputs"])
    by_task = ("logit" if outputs == 1 else "softmax") if labels else "identity"
    return Description(
        kind=kind,
        options=options,
        task=str(spec["task"]),
        outputs=outputs,
        link=words.get("link", by_task),
        classes=tuple(int(label) if numbers else label for label in labels),
        columns=_columns(words, inputs),
        inputs=inputs,
        target=str(target["name"] if target else spec["target"]),
        target_mean=float(words["target_mean"]),
        target_scale=float(words["target_scale"]),
        role=words.get("role"),
        settings=json.loads(words.get("params", "{}")),
    )


def _input(told: Mapping[str, Any]) -> Input:
    return Input(
        name=str(told["name"]),
        source=str(told["source"]),
        mean=float(told["mean"]),
        scale=float(told["scale"]),
        indicator="level" in told,
        level=told.get("level"),
        fill=told.get("fill"),
    )


def _format(told: Mapping[str, Any]) -> NumberFormat | None:
    return NumberFormat.model_validate(told["format"]) if "format" in told else None


def _columns(words: Mapping[str, str], inputs: tuple[Input, ...]) -> tuple[Column, ...]:
    """Return the columns that the file tells; of a first model's, those that inputs come from."""
    if "columns" in words:
        return tuple(
            Column(str(told["name"]), told["kind"], told.get("fill"), _format(told))
            for told in json.loads(words["columns"])
        )
    numbers = {each.source for each in inputs if not each.indicator}
    return tuple(
        Column(name, "number" if name in numbers else "category")
        for name in dict.fromkeys(each.source for each in inputs)
    )
