"""One colour for each penalty, the same in every plot, page and table; light and dark.

They are those of Okabe and Ito's palette (Color Universal Design, 2008), moved as little as makes
each stand out from the ground 3 : 1, and any two differ by 15 in CIE Lab for eyes of every kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ridgeway.spec.names import PenaltyName


@dataclass(frozen=True)
class Hue:
    """A colour on a light and on a dark ground, as `#rrggbb`."""

    light: str
    dark: str

    def on(self, dark: bool) -> str:
        """Return the colour for the ground."""
        return self.dark if dark else self.light


_PENALTIES: Mapping[PenaltyName, Hue] = {
    "none": Hue("#6b6b6b", "#737373"),
    "l1": Hue("#0172b2", "#3b92d7"),
    "l2": Hue("#e06e3f", "#e06813"),
    "elastic_net": Hue("#05a174", "#22a778"),
    "group_lasso": Hue("#c976a4", "#cc79a7"),
    "sparse_group_lasso": Hue("#339acd", "#59b6ea"),
    "mcp": Hue("#c18500", "#e7a002"),
    "scad": Hue("#766f00", "#f0e441"),
    "l0.5": Hue("#644a29", "#945b2d"),
    "adaptive_l1": Hue("#1659e3", "#5362fe"),
    "hierarchical": Hue("#79156a", "#b6299f"),
}
# A plug-in's name finds one of these, the same in every process.
_OTHERS = (
    Hue("#7a4fbf", "#b79cf0"),
    Hue("#8c4a2f", "#d6a184"),
    Hue("#a3183a", "#f07a92"),
    Hue("#3f6b1d", "#9fd06f"),
)


def colour(penalty: PenaltyName, dark: bool = False) -> str:
    """Return the penalty's colour as `#rrggbb`; a plug-in's follows from its name."""
    return _hue(penalty).on(dark)


def slot(penalty: PenaltyName) -> str:
    """Return the class of a style sheet that has the penalty's colour: a word, whatever its name.

    `style_rules` has a rule for each, which sets `--penalty`.
    """
    hue = _hue(penalty)
    return next(own for own, other in _slots().items() if other is hue)


def style_rules() -> str:
    """Return CSS rules that set `--penalty` on each class that `slot` names, light and dark."""
    light, dark = (
        "".join(f".{own}{{--penalty:{hue.on(dark)}}}\n" for own, hue in _slots().items())
        for dark in (False, True)
    )
    return f"{light}@media screen and (prefers-color-scheme:dark){{\n{dark}}}\n"


def _slots() -> dict[str, Hue]:
    known = {f"penalty-{name.replace('.', '-')}": hue for name, hue in _PENALTIES.items()}
    return known | {f"penalty-other-{place}": hue for place, hue in enumerate(_OTHERS, 1)}


def _hue(penalty: PenaltyName) -> Hue:
    hue = _PENALTIES.get(penalty)
    if hue is None:
        digest = hashlib.sha256(penalty.encode(errors="replace")).digest()
        hue = _OTHERS[digest[0] % len(_OTHERS)]
    return hue
