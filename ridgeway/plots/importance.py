"""The plot `importance`: which parameters decide whether a trial is among the best (PED-ANOVA)."""

from __future__ import annotations

import altair as alt

from ridgeway.plots import parts
from ridgeway.plots.evidence import Evidence
from ridgeway.plots.theme import Theme

LINE = 28  # pixels of a parameter's line
NAMES, VALUES = 110, 48  # pixels of the names before the frame, and of the shares behind it


def draw(evidence: Evidence, theme: Theme) -> alt.TopLevelMixin | None:
    """Draw a bar for each parameter; None where fewer than two vary, or too few trials tell."""
    shares = sorted(evidence.importance.items(), key=lambda item: (-item[1], item[0]))
    if len(shares) < 2:
        return None
    told = [
        {"place": place, "name": parts.word(name), "share": share, "shown": f"{share:.0%}"}
        for place, (name, share) in enumerate(shares)
    ]
    base = alt.Chart(parts.data(told)).encode(
        y=alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2)),
        x=alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, max(shares[0][1], 0.01)])),
    )
    layers = [
        base.mark_bar(color=theme.muted, cornerRadiusEnd=2),
        base.mark_text(align="left", dx=-NAMES, fontSize=12).encode(x=alt.value(0), text="name:N"),
        base.mark_text(align="left", dx=6).encode(text="shown:N"),
    ]
    first, share = shares[0]
    finding = (
        f"{parts.capital(parts.word(first))} decides most about which trials are good: {share:.0%}"
    )
    caption = (
        "Share of each parameter in telling the best tenth of the complete trials from all of "
        "them, within what was searched (PED-ANOVA)."
    )
    return alt.layer(*layers).properties(
        width=parts.frame(theme, NAMES, VALUES),
        height=LINE * len(shares),
        title=parts.title(theme, finding, caption),
    )
