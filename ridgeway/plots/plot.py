"""A kind of plot: its name, its title in a list, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ridgeway.plots.evidence import Evidence
from ridgeway.plots.theme import Theme

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True)
class Plot:
    """A kind of plot, drawn by the function `draw` of the module of its name.

    title: what it is of; the title of one that is drawn is what it found.
    """

    name: str
    title: str

    def draw(self, evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
        """Draw the plot of a job; None where the job has nothing of the kind."""
        # Altair takes half a second and 45 MB: whoever asks for names alone goes without.
        return import_module(f"ridgeway.plots.{self.name}").draw(evidence, theme)
