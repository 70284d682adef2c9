"""The list of plots. To add one, write its module, with a function `draw`, and add a row here."""

from __future__ import annotations

from collections.abc import Mapping

from ridgeway.plots.plot import Plot

PLOTS: Mapping[str, Plot] = {
    plot.name: plot
    for plot in (
        Plot("path", "Regularisation path"),
        Plot("penalties", "Penalties beside each other"),
        Plot("front", "Value against features"),
        Plot("trials", "Trials over λ"),
        Plot("parallel", "Trials over all parameters"),
        Plot("importance", "Importance of parameters"),
        Plot("features", "Features"),
        Plot("learning", "Learning curves"),
        Plot("sealed", "Sealed rows"),
        Plot("weights", "Weights under each penalty"),
        Plot("flicker", "Subgradient and proximal steps"),
    )
}
