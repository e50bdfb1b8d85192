"""Result tables to plotly figures; the only part that imports plotly."""

from steerlens.plotting.effects import effects_bars, response_lines
from steerlens.plotting.heatmaps import separability_heatmap, sweep_by_locale, sweep_heatmap
from steerlens.plotting.layers import (
    erasure_lines,
    geometry_heatmap,
    geometry_lines,
    lens_lines,
    permutation_lines,
    selectivity_lines,
    separability_lines,
)
from steerlens.plotting.lines import cosine_lines
from steerlens.plotting.planes import plane_figure
from steerlens.plotting.prompts import choice_bars, margin_curve, residual_scatter, token_lens_heatmap
from steerlens.plotting.searches import front_figure, regret_heatmap

__all__ = [
    "choice_bars",
    "cosine_lines",
    "effects_bars",
    "erasure_lines",
    "front_figure",
    "geometry_heatmap",
    "geometry_lines",
    "lens_lines",
    "margin_curve",
    "permutation_lines",
    "plane_figure",
    "regret_heatmap",
    "residual_scatter",
    "response_lines",
    "selectivity_lines",
    "separability_heatmap",
    "separability_lines",
    "sweep_by_locale",
    "sweep_heatmap",
    "token_lens_heatmap",
]
