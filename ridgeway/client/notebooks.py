"""Answers and progress in a notebook: what a terminal shows, as HTML."""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType

from ridgeway.client.plain import Plain
from ridgeway.client.show import progress_line
from ridgeway.client.show_features import feature_table
from ridgeway.client.show_path import path_summary
from ridgeway.features import Features
from ridgeway.paths import RegularisationPath
from ridgeway.views import Job

WIDTH = 110  # columns of the text
FEATURES = 30
_FORMAT = '<pre style="line-height:1.25;white-space:pre;overflow-x:auto">{code}</pre>'


def html_of(shown: RenderableType) -> str:
    """Write as HTML what a terminal would show; text from a service is escaped."""
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, highlight=False, emoji=False, markup=False
    )
    console.print(Plain(shown))
    return console.export_html(code_format=_FORMAT, inline_styles=True)


SHOWN: dict[type, Callable[[Any], RenderableType]] = {
    Features: lambda found: feature_table(found, FEATURES),
    RegularisationPath: path_summary,
}


def shell() -> Any:
    """Return the notebook that this program runs in; None in a terminal or a script."""
    if "IPython" not in sys.modules:
        return None
    own = sys.modules["IPython"].get_ipython()
    return own if own is not None and hasattr(own, "kernel") else None


def show_answers() -> None:
    """Have the notebook, if this is one, show answers as tables rather than as their fields."""
    notebook = shell()
    if notebook is None:
        return
    formatter = notebook.display_formatter.formatters["text/html"]
    for kind, show in SHOWN.items():
        formatter.for_type(kind, _html_by(show))


def _html_by(show: Callable[[Any], RenderableType]) -> Callable[[Any], str]:
    return lambda found: html_of(show(found))


class NotebookProgress:
    """A progress bar in a notebook's output, with the same words as a terminal's."""

    def __enter__(self) -> NotebookProgress:
        display: Any = import_module("IPython.display")
        self._html = display.HTML
        self._shown = display.display(self._html(""), display_id=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the bar as it stands."""

    def update(self, job: Job) -> None:
        """Show how far the job is."""
        line = html.escape(progress_line(job))
        bar = f'<progress max="1" value="{job.progress.fraction:.4f}"></progress> {line}'
        self._shown.update(self._html(bar))
