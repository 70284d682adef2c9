"""The formats that a job's model is taken away in: how they are called, and their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

ModelFormat: TypeAlias = Literal["safetensors", "onnx", "sklearn", "card"]


@dataclass(frozen=True)
class FormatRow:
    """The files of a format."""

    ending: str
    media_type: str


BINARY = "application/octet-stream"
MARKDOWN = "text/markdown; charset=utf-8"

FORMATS: Mapping[ModelFormat, FormatRow] = {
    "safetensors": FormatRow("safetensors", BINARY),
    "onnx": FormatRow("onnx", BINARY),
    "sklearn": FormatRow("skops", BINARY),
    "card": FormatRow("md", MARKDOWN),
}
