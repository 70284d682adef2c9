"""Draw what each penalty costs and what its proximal step leaves: the pictures of penalties.md.

    python docs/images/penalties.py

They are drawn from the penalties that jobs are trained with (workers/penalties), as
docs/images/penalties/NAME.svg, each beside L1. To draw another one, add its row to ROWS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import torch
from torch import Tensor

from ridgeway.plots import parts
from ridgeway.plots.render import finished
from ridgeway.plots.theme import THEMES, Theme
from ridgeway.spec.names import PenaltyName
from workers.models.layout import Group
from workers.penalties.base import Penalty
from workers.penalties.components import value
from workers.penalties.penalties import PENALTIES
from workers.penalties.proximal import proximal_step

FOLDER = Path(__file__).with_name("penalties")
REFERENCE = PENALTIES["l1"]
STRENGTH, L1_RATIO = 1.0, 0.5
REACH = 4.0  # of the weights that are drawn, to either side of zero
POINTS = 129
HIGHEST = 4.5  # cost that is drawn
AXIS, NAMES, HEIGHT = 40, 104, 236  # pixels
LINE = 15  # pixels between names
PAIR = Group(start=0, view=(1, 2), axes=(-1,), size=2)  # both weights are one group
LONG_NUMBER = re.compile(r"(\.\d)\d+")


@dataclass(frozen=True)
class Row:
    """A picture: what it shows, and which weights stand beside the one that is drawn.

    partners: a curve for each, the weight of the same group by its label.
    """

    finding: str
    partners: tuple[tuple[str, float], ...] = ()


ALONE_OR_NOT = (("beside 0", 0.0), ("beside 3", 3.0))
ROWS: dict[PenaltyName, Row] = {
    "l2": Row("L2 takes a share of any weight, and none becomes zero"),
    "l1": Row("L1 takes λ off any weight, and those within λ become zero"),
    "elastic_net": Row("Elastic net takes half of λ off any weight, then a share of the rest"),
    "group_lasso": Row("Group lasso drops a weight only with its whole group", ALONE_OR_NOT),
    "sparse_group_lasso": Row(
        "Sparse group lasso drops whole groups, and single weights of the others", ALONE_OR_NOT
    ),
    "mcp": Row("MCP drops what L1 drops, and leaves weights beyond 3 λ alone"),
    "scad": Row("SCAD is L1 for small weights, and leaves those beyond 3.7 λ alone"),
    "l0.5": Row("L0.5 drops more than L1, and takes less off what it keeps"),
}


def main() -> None:
    """Write every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name in ROWS:
        path = write(name, FOLDER)
        print(f"{path.name:<24}{path.stat().st_size / 1000:.1f} kB")


def write(name: PenaltyName, folder: Path) -> Path:
    """Write a penalty's picture to the folder, and return its path."""
    theme, path = THEMES["light"], folder / f"{name}.svg"
    svg = finished(drawn(name, theme), theme).render("svg").decode()
    path.write_text(LONG_NUMBER.sub(r"\1", svg) + "\n", encoding="utf-8")
    return path


# --- what is drawn --------------------------------------------------------------------------------


def costs(penalty: Penalty, weights: Tensor, partner: float) -> Tensor:
    """Return what weights (N,) add to λ R beside a partner, each by itself."""
    components = penalty.components(STRENGTH, L1_RATIO)
    pairs = torch.stack([weights, torch.full_like(weights, partner)], -1)
    alone = pairs * torch.tensor([0.0, 1.0])
    return value(components, pairs, [PAIR]) - value(components, alone, [PAIR])


def stepped(penalty: Penalty, points: Tensor, partner: float) -> Tensor:
    """Return argmin_x ½ (x - u)² + λ R(x) of points u (N,) beside the partner's point."""
    components = penalty.components(STRENGTH, L1_RATIO)
    pairs = torch.stack([points, torch.full_like(points, partner)], -1)
    # Solvers take Σ w² with the loss. With its curvature added the rest is a proximal step.
    metric = torch.full((1, 1), 1 + 2 * components.l2, dtype=points.dtype)
    pairs /= metric
    proximal_step(pairs, metric, components, [PAIR])
    return pairs[:, 0]


# --- how it is drawn ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """A line of both frames."""

    label: str
    penalty: Penalty
    partner: float
    colour: str
    width: float
    dash: tuple[int, int] = (1, 0)


def drawn(name: PenaltyName, theme: Theme) -> alt.HConcatChart:
    """Draw a penalty beside L1: costs on the left, proximal steps on the right."""
    row, penalty = ROWS[name], PENALTIES[name]
    curves = [
        Curve(label, penalty, partner, theme.penalty(name), 2.6, (5, 3) if partner else (1, 0))
        for label, partner in row.partners or ((penalty.label, 0.0),)
    ]
    if penalty is not REFERENCE:
        curves.insert(0, Curve(REFERENCE.label, REFERENCE, 0.0, theme.muted, 1.4))
    room = (parts.frame(theme, 2 * AXIS, NAMES) - 8) // 2
    frames = [frame.properties(width=room, height=HEIGHT) for frame in _frames(curves, theme)]
    caption = "Left: what a weight costs. Right: what the proximal step makes of it, for λ = 1"
    caption += " and r = 0.5" if "l1_ratio" in penalty.parameters else ""
    caption += ". Grey: L1." if penalty is not REFERENCE else "."
    if row.partners:
        caption += " Two curves: where the other weight of the group is 0, and where it is 3."
    chart = alt.hconcat(*frames, spacing=8)
    return chart.properties(title=parts.title(theme, row.finding, caption))


def _frames(curves: list[Curve], theme: Theme) -> tuple[parts.Layers, parts.Layers]:
    weights = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    paid = [costs(own.penalty, weights, own.partner) for own in curves]
    left = [_line(own, weights, heights, "w") for own, heights in zip(curves, paid, strict=True)]
    same = Curve("unchanged", REFERENCE, 0.0, theme.muted, 1.0, (2, 3))
    made = [(own, stepped(own.penalty, weights, own.partner)) for own in curves]
    ends = [(same, weights), *made]
    right = [_line(own, weights, heights, "step") for own, heights in ends]
    return (
        alt.layer(*_axes("w", "λ R(w)", (0.0, HIGHEST), theme), *left),
        alt.layer(
            *_axes("step", "after", (-REACH, REACH), theme),
            *right,
            _names([(own, heights[-1].item()) for own, heights in ends]),
        ),
    )


def _axes(kind: str, title: str, heights: tuple[float, float], theme: Theme) -> list[alt.Chart]:
    """Return the axes and the line at zero; `kind` names a frame's fields apart."""
    ticks = list(range(int(heights[0]), int(heights[1]) + 1, 2 if heights[0] else 1))
    y_axis = alt.Axis(title=title, values=ticks, grid=True)
    x_axis = alt.Axis(
        title="weight w" if kind == "w" else "before the step", values=[-4, -2, 0, 2, 4], grid=False
    )
    x = alt.X(f"{kind}:Q", axis=x_axis, scale=alt.Scale(domain=[-REACH, REACH], nice=False))
    y = alt.Y(f"{kind} height:Q", axis=y_axis, scale=alt.Scale(domain=[*heights], nice=False))
    origin = alt.Chart(parts.data([{kind: 0.0, f"{kind} height": 0.0}])).encode(x=x, y=y)
    mark: Any = origin.mark_point
    return [mark(size=30, filled=True, color=theme.muted, opacity=1)]


def _line(curve: Curve, weights: Tensor, heights: Tensor, kind: str) -> alt.Chart:
    rows = [
        {kind: round(w, 3), f"{kind} height": round(height, 3)}
        for w, height in zip(weights.tolist(), heights.tolist(), strict=True)
    ]
    mark: Any = alt.Chart(parts.data(rows)).mark_line
    drawn = mark(
        color=curve.colour, strokeWidth=curve.width, strokeDash=list(curve.dash), clip=True
    )
    return drawn.encode(x=f"{kind}:Q", y=f"{kind} height:Q")


def _names(ends: list[tuple[Curve, float]]) -> parts.Layers:
    """Name each curve where it ends, apart from each other."""
    pixels = [HEIGHT * (REACH - height) / (2 * REACH) for _, height in ends]
    moved = parts.spread(pixels, LINE, 0, HEIGHT)
    layers: list[alt.Chart] = []
    for (curve, _), place in zip(ends, moved, strict=True):
        mark: Any = alt.Chart(parts.data([{"name": curve.label}])).mark_text
        text = mark(align="left", dx=8, fontSize=12, color=curve.colour)
        layers.append(text.encode(x=alt.value("width"), y=alt.value(place), text="name:N"))
    return alt.layer(*layers)


if __name__ == "__main__":
    main()
