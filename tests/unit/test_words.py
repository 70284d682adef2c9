"""Words of our trade are explained where a newcomer meets them, or are not used there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import pytest

from ridgeway.cli import main
from ridgeway.settings import Settings
from service.app import create_app

# What a text must also say that uses the word; None: it has a plainer one.
EXPLAINED = {
    "population": "trained together",
    "proximal": "exactly zero",
    "settl": None,
    " member": None,
    "fence": None,
}


def told(document: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield every description and summary of the OpenAPI document, with its place."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in items:
        if name in ("description", "summary") and isinstance(value, str):
            yield f"{place}/{name}", value
        elif isinstance(value, dict | list):
            yield from told(value, f"{place}/{name}")


def helped(command: click.Command, name: str = "ridgeway") -> Iterator[tuple[str, str]]:
    """Yield the help of every command and option."""
    yield name, command.help or ""
    for option in command.params:
        if isinstance(option, click.Option):
            yield f"{name} {option.name}", option.help or ""
    if isinstance(command, click.Group):
        for part, inner in command.commands.items():
            yield from helped(inner, f"{name} {part}")


TEXTS = [*told(create_app(Settings()).openapi()), *helped(main)]


@pytest.mark.parametrize("word", EXPLAINED)
def test_a_word_of_ours_is_explained_where_it_is_met(word: str) -> None:
    explanation = EXPLAINED[word]
    unexplained = [
        f"{place}: {text}"
        for place, text in TEXTS
        if word in text.lower() and (explanation is None or explanation not in text)
    ]
    assert unexplained == []


def test_both_counts_of_weights_say_of_which_models_they_are() -> None:
    fields = [text for place, text in TEXTS if place.endswith("nonzero_weights/description")]
    assert len(fields) >= 4
    assert all("not zero" in text and "model" in text for text in fields)
