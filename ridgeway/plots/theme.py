"""Fonts, sizes and grounds of every plot: a light theme and a dark one, for a page's width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from ridgeway.plots.palette import colour
from ridgeway.spec.names import PenaltyName

ThemeName: TypeAlias = Literal["light", "dark"]

# Roboto is what vl-convert brings along: SVG and PNG are laid out with it.
FONT = "Roboto, 'Helvetica Neue', Helvetica, Arial, sans-serif"
WIDE = 640  # of a picture in a page, in pixels
NARROW = 358  # of a picture on a phone of 390 pixels with margins of 16


@dataclass(frozen=True)
class Theme:
    """Colours of what is not a penalty, and the width of the whole picture in pixels."""

    name: ThemeName
    ground: str
    ink: str
    muted: str
    grid: str
    width: int = WIDE

    @property
    def dark(self) -> bool:
        """Return True for light ink on a dark ground."""
        return self.name == "dark"

    @property
    def narrow(self) -> bool:
        """Return True where there is no room beside the frame."""
        return self.width < 480

    def wide(self, width: int) -> Theme:
        """Return the theme for pictures of this width."""
        return replace(self, width=width)

    def penalty(self, name: PenaltyName) -> str:
        """Return the penalty's colour on this ground."""
        return colour(name, self.dark)

    def config(self) -> dict[str, Any]:
        """Return Vega-Lite's `config`, which every plot has."""
        axis = {
            "labelColor": self.muted,
            "titleColor": self.muted,
            "gridColor": self.grid,
            "domainColor": self.muted,
            "tickColor": self.muted,
            "labelFontSize": 11,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        }
        title = {
            "color": self.ink,
            "subtitleColor": self.muted,
            "anchor": "start",
            "frame": "bounds",
            "fontSize": 15,
            "fontWeight": 600,
            "subtitleFontSize": 12,
            "subtitlePadding": 6,
            "offset": 12,
        }
        return {
            "background": self.ground,
            "padding": 8,
            "font": FONT,
            "axis": axis,
            "title": title,
            "text": {"color": self.ink, "fontSize": 11},
            "view": {"stroke": None},
        }


THEMES: Mapping[ThemeName, Theme] = {
    "light": Theme("light", "#ffffff", "#1f2328", "#59616b", "#e6e8eb"),
    "dark": Theme("dark", "#14171a", "#e8eaed", "#a3abb4", "#2c3137"),
}
